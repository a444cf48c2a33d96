"""Agents' own telemetry: joined to runs, held against what the gateways saw, and passed on."""
