"""Floor 2, layer of approvals: requests, votes, grants, and the clock they run against."""
