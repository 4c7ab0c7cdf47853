"""Names and values, one below the other: what a command prints."""

Rows = list[tuple[str, str]]
