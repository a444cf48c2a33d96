"""What was spent: by whom and on what, per run, and as a report to charge it by."""
