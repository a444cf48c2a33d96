"""What crosses the operator and agent API: pydantic models that `api` and `client` share."""
