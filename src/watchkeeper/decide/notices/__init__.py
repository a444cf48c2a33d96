"""Whom an event concerns, and how they are told of it."""
