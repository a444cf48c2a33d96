"""Tools as people and upstreams see them."""
