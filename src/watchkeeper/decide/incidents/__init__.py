"""Incidents at work: opened and joined as locks come into force, told of, and reported."""
