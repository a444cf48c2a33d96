"""Documents and policies put in force: planned, checked, shown."""
