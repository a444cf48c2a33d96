"""What is governed: agents, tools, upstreams, models, roles, budgets and policies, as applied."""
