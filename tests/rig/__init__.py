"""What tests lean on: real planes, upstreams, providers and terminals, and one way to wait."""
