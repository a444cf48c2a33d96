"""Hand-overs of a watch: what its giver wrote is kept as it is, until the next one has read it."""
