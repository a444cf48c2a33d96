"""Erasing a person's data: what of it there is, and that none of it is left."""
