"""The Model Context Protocol edge: agents use tools through it, both eras on one address."""
