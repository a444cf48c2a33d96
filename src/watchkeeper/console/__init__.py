"""The console: what on-call staff and approvers live in; a thin client of a plane."""
