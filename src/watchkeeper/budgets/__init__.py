"""Floor 2, layer of money: caps, holds that expire, postings, top-ups."""
