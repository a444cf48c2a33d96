"""The protocols that models are called in, one module to an endpoint."""
