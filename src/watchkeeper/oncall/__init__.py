"""Floor 2, layer of people: roles, and who is asked next and when."""
