"""How approving goes: judgements, statistics over votes, and hints against fatigue."""
