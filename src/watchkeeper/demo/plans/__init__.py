"""What the demo's model would say: one scripted, deterministic plan for each kind of agent."""
