"""W3C trace context that calls carry: from the agent, and on to whoever performs them."""

from __future__ import annotations

from watchkeeper.core.tracing import TraceContext, span_of, trace_of
from watchkeeper.identity.model import Caller


def passed_on(caller: Caller, given: TraceContext | None, decision: str) -> str:
    """Return the context of an action: in its caller's trace, or in that of the outermost run."""
    outermost = caller.ancestors[0][0] if caller.lineage else caller.run
    return TraceContext(given.trace if given else trace_of(outermost), span_of(decision)).text()
