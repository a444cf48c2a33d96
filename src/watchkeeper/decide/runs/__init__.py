"""Runs from opening to close: their envelope, their signs of life, their unknown ends."""
