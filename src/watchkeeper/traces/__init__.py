"""Traces: what happened in a run and why, as spans derived from the ledger and told by agents."""
