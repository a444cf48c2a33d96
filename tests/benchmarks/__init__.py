"""Measurements that run by hand: `python -m tests.benchmarks.decide` (or `.console`, `.start`)."""
