"""The decision path: gates in order, then perform and settle."""
