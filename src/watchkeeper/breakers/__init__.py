"""Circuit breakers: what shows that an agent has run away, and what an open breaker lets pass."""
