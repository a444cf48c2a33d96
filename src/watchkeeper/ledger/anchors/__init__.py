"""Anchors: places outside, where whoever alters the ledger does not reach."""
