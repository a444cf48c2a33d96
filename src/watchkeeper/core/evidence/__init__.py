"""What an evidence bundle is, and the check of one: the standard library does for all of it."""
