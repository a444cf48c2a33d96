"""Floor 1: the durable store: one writer with group commit, on SQLite or PostgreSQL."""
