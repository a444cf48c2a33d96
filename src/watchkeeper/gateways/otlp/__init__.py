"""The OTLP gateway: agents' own telemetry, over HTTP."""
