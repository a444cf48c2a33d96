"""Reports for people over a period: what the ledger shows, and what it cannot."""
