"""The hooks gateway: tool calls of coding agents, asked for before they run."""
