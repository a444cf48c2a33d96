"""Drills: a lock rehearsed without effect, and measured."""
