"""Incidents: what was stopped belongs to one until a person closes it."""
