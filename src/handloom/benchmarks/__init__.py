"""Measurements that anyone can repeat; each function is one `handloom bench` command."""
