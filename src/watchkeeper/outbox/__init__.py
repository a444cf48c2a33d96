"""Floor 2, layer of deliveries: what others must be told, at least once, under one id."""
