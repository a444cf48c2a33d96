"""The gates of the decision path; each refuses with the id of its rule, or lets pass."""
