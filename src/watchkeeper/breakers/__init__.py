"""Circuit breakers: what is unusual, and what is let through until it is over."""
