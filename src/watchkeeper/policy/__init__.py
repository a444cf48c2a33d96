"""Policy as code: Cedar, with approvals as annotated forbids."""
