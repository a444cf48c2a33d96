"""Providers and models: what they cost and what was called of them."""
