"""A tool's contract in words, in the order in which a person reads it."""

from __future__ import annotations

from collections.abc import Iterator

from watchkeeper.registry.documents import Preview, ToolContract
from watchkeeper.registry.parts import RateLimit

_ACCESS = {"read": "reads, changes nothing", "write": "changes something"}


def tool_clauses(tool: ToolContract) -> Iterator[tuple[str, str]]:
    """Yield what a contract says of a tool: what it is about, and a sentence."""
    yield "does", tool.does
    yield "access", f"{_ACCESS[tool.access]}; risk {tool.risk}; in region {tool.region}"
    if tool.retrieves is not None:
        yield "retrieves", f"from {tool.retrieves}, for what the agent says and does next"
    for never in tool.never:
        yield "never", f"{never.argument} matching {never.pattern!r}: {never.why}"
    yield "arguments", _arguments(tool)
    if tool.amount_usd is not None:
        yield "amount", f"{tool.amount_usd} is money moved, in dollars; a call must state it"
    if tool.business_object is not None:
        yield "about", f"the {tool.business_object.kind} that {tool.business_object.id} names"
    yield from _data(tool)
    yield "approval", _approval(tool)
    if tool.display is not None:
        yield "display", f"approvers read: {tool.display}"
    yield "rollback", _rollback(tool)
    yield "blast radius", tool.blast_radius
    if tool.preview is not None:
        yield "preview", f"what would change is read with {_reader(tool.preview)}"
    if tool.blast_preview is not None:
        yield "preview", f"what it would reach is read with {_reader(tool.blast_preview)}"
    if tool.rate_limit is not None:
        yield "rate", _rate(tool.rate_limit)
    yield "retries", _retries(tool)
    yield "performed", _performed(tool)
    if tool.pin is not None:
        yield "pin", f"only the definition {tool.pin} is trusted"
    if tool.tags:
        yield "tags", ", ".join(tool.tags)


def _arguments(tool: ToolContract) -> str:
    if tool.input_schema is None:
        return "as the pinned definition has them" if tool.upstream else "not checked"
    properties = tool.input_schema.get("properties")
    required = tool.input_schema.get("required")
    must = set(required) if isinstance(required, list) else set()
    if not isinstance(properties, dict) or not properties:
        return "checked against its schema"
    named = ", ".join(f"{name} (required)" if name in must else name for name in properties)
    closed = tool.input_schema.get("additionalProperties") is False
    return named + ("; no others" if closed else "; others may be given too")


def _data(tool: ToolContract) -> Iterator[tuple[str, str]]:
    for classes, way in ((tool.data.taken, "in"), (tool.data.given, "out")):
        if classes is not None:
            yield "data", f"{way}: {', '.join(classes) or 'none'}"


def _approval(tool: ToolContract) -> str:
    gate = tool.approval
    if gate is None:
        if tool.risk == "critical":
            return "every call: it is critical"
        return "where the agent's contract or a policy asks for it"
    sla = f", within {gate.sla_seconds} s" if gate.sla_seconds else ""
    escalation = f", then as {gate.escalation} says" if gate.escalation else ""
    return f"every call, by {gate.role}{sla}{escalation}"


def _rollback(tool: ToolContract) -> str:
    said = {True: "reversible: ", False: "irreversible: ", None: ""}[tool.reversible]
    return said + tool.rollback


def _reader(preview: Preview) -> str:
    return f"{preview.tool}({', '.join(preview.arguments)})"


def _rate(limit: RateLimit) -> str:
    burst = f", {limit.burst} at once" if limit.burst else ""
    return f"at most {limit.calls} a {limit.per}{burst}"


def _retries(tool: ToolContract) -> str:
    same = "with equal arguments" if tool.idempotency.by == "arguments" else "with the same key"
    return f"a call {same} within {tool.idempotency.window_seconds} s is the same call"


def _performed(tool: ToolContract) -> str:
    if tool.upstream is None:
        return "by the agent itself; the plane only decides"
    return (
        f"by the plane, as {tool.offered_as} of upstream {tool.upstream}, "
        f"in at most {tool.timeout_seconds} s"
    )
