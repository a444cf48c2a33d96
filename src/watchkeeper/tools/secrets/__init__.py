"""Credentials of the plane: sealed in its store, or kept by others and read when used."""
