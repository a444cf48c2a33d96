"""Floor 2, layer of people: telling them, by mail, chat or pager, that something waits."""
