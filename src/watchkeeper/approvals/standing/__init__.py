"""Standing approvals: what people agreed to beforehand, counted down use by use."""
