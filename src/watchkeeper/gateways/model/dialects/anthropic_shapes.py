"""How Anthropic's clients read errors: https://platform.claude.com/docs/en/api/errors.

Their Python client shows `error.message` and takes a stable code from `error.details`.
"""

from __future__ import annotations

import msgspec

from watchkeeper.gateways.model.errors import ErrorShape, ModelError

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_LEAST_OF_SERVER = 500


class _Anthropic:
    def body(self, error: ModelError) -> bytes:
        other = "api_error" if error.status >= _LEAST_OF_SERVER else "invalid_request_error"
        said = {
            "type": _TYPES.get(error.status, other),
            "message": error.message,
            "details": {"error_code": error.code, **error.members},
        }
        return msgspec.json.encode({"type": "error", "error": said})

    def event(self, error: ModelError, sent: int) -> bytes:
        return b"event: error\ndata: " + self.body(error) + b"\n\n"


ANTHROPIC_ERRORS: ErrorShape = _Anthropic()
