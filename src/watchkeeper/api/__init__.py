"""The HTTP API: what people's programs and agents' workloads ask of the plane."""
