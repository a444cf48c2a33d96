"""The edges that agents speak to: each translates a protocol to an action and back."""
