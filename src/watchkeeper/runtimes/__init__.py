"""Runtimes where agents' work runs: found out, polled, stopped, and answered."""
