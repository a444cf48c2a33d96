"""Floor 0: clock, ids, digests, units, untrusted text, errors."""
