"""Runs looked at again through the gateways: forks of a step, and agents played to."""
