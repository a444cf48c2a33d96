"""Deciding again what was decided, without touching anything."""
