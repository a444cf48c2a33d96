"""Agents' own telemetry: what it says, in the terms of the plane's spans, and what is kept."""
