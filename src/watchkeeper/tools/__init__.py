"""Tools: what each does and may never do, and the servers that perform them."""
