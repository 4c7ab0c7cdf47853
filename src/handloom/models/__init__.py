"""Networks, one file each: a config dataclass on top, then the module. Needs the extra `[torch]`."""
