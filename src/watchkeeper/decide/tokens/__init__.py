"""The authorization server: who asks, what a token claims, and what it is good for."""
