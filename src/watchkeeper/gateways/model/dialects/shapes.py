"""How OpenAI's clients read errors.

https://platform.openai.com/docs/guides/error-codes; its Python client raises on any event of a
stream whose data has an `error` object.
"""

from __future__ import annotations

from typing import Any

import msgspec

from watchkeeper.gateways.model.errors import ErrorShape, ModelError


class _Chat:
    """Errors of chat completions, embeddings and models."""

    def body(self, error: ModelError) -> bytes:
        """Return it as the body of an answer."""
        return msgspec.json.encode({"error": _members(error)})

    def event(self, error: ModelError, sent: int) -> bytes:
        """Return it as the last event of a stream."""
        return b"data: " + self.body(error) + b"\n\n"


class _Responses(_Chat):
    """Errors of responses: an event has its kind and number, as all of them do."""

    def event(self, error: ModelError, sent: int) -> bytes:
        """Return it as the last event of a stream."""
        members = _members(error)
        data = {
            "type": "error",
            "code": error.code,
            "message": error.message,
            "param": None,
            "sequence_number": sent,
            "error": members,
        }
        return b"event: error\ndata: " + msgspec.json.encode(data) + b"\n\n"


def _members(error: ModelError) -> dict[str, Any]:
    return {
        "message": error.message,
        "type": error.kind,
        "param": None,
        "code": error.code,
        **error.members,
    }


CHAT_ERRORS: ErrorShape = _Chat()
RESPONSES_ERRORS: ErrorShape = _Responses()
