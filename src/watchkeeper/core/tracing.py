"""W3C trace context, and the trace and span ids that follow from the plane's own ids.

https://www.w3.org/TR/trace-context/: `traceparent` is version, trace id (16 bytes), span id
(8 bytes) and flags, in lower-case hex.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

TRACEPARENT = "traceparent"
"""The header, and the member of MCP's `_meta`."""
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_TRACE_LENGTH = 32
_SPAN_LENGTH = 16
_NO_TRACE = "0" * _TRACE_LENGTH
_NO_SPAN = "0" * _SPAN_LENGTH
_LONGEST = 512
_KNOWN_VERSION = "00"


class TraceContext(NamedTuple):
    """One span in one trace, both in hex."""

    trace: str
    span: str

    def text(self) -> str:
        """Return it as `traceparent`; what the plane passes on is always recorded."""
        return f"{_KNOWN_VERSION}-{self.trace}-{self.span}-01"


def read_traceparent(text: object) -> TraceContext | None:
    """Read what a caller sent; None for what is no trace context, which is passed over.

    A later version may have more behind the flags; this one may not.
    """
    if not isinstance(text, str) or len(text) > _LONGEST:
        return None
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    version, trace, span, _, more = found.groups()
    if version == "ff" or (version == _KNOWN_VERSION and more):
        return None
    if trace == _NO_TRACE or span == _NO_SPAN:
        return None
    return TraceContext(trace, span)


def trace_of(run: str) -> str:
    """Return the trace of a run that no caller's trace context was given for."""
    return hashlib.sha256(f"trace/{run}".encode()).hexdigest()[:_TRACE_LENGTH]


def span_of(key: str) -> str:
    """Return the span id of what the plane keeps under an id: a run, an action, a request."""
    return hashlib.sha256(key.encode()).hexdigest()[:_SPAN_LENGTH]
