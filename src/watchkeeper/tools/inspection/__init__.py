"""What data passes a tool: recognised by class, and kept back where it may not pass."""
