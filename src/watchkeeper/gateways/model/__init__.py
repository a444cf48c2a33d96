"""The OpenAI-compatible edge: agents call models through it."""
