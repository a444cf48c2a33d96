"""Real MCP servers with their own state: what the demo fleet's agents act upon."""
