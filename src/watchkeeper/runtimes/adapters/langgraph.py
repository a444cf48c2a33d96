"""LangGraph's agent server."""
