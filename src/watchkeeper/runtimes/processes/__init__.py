"""Processes on this machine that the plane starts, finds again, and ends with their children."""
