"""Watchkeeper: a terminal control tower for AI agents."""

__version__ = "0.1.0"
