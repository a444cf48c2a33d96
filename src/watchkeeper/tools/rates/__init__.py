"""Rate limits: how many calls in a time, kept as one time for each limit."""
