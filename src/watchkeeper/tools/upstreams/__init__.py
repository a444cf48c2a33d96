"""Connections to the MCP servers that the plane fronts."""
