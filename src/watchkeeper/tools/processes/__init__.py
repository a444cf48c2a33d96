"""Processes on this machine: which belong together, and signals to those and no others."""
