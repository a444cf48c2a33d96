"""What an output rested on: everything that reached its agent before, as far as it is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select

from watchkeeper.core.tracing import span_of
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces.model import Span
from watchkeeper.traces.rows import as_span
from watchkeeper.traces.tables import spans
from watchkeeper.wire.asking import Basis, Rest

MOST_LOOKED_AT = 500
"""Spans of one run, the latest before its end."""
MOST_RUNS = 8
"""Runs above one."""
COUNTED = (
    "what was permitted and had ended before it began, in its run and in those above, with the "
    "approvals given; whether the agent used it nobody can tell"
)
MISSING = (
    "retrieval and memory within the agent's process, where it sends no telemetry of it",
    "what models know from their training",
)
_GRANTED = frozenset({"approved", "redeemed", "succeeded", "failed", "unknown"})
_MEMORY = "memory"
_RETRIEVES = frozenset({"retrieval", "rerank", "embeddings"})
_MODELS = frozenset({"chat", "text_completion", "generate_content"})
_DIGESTS = {
    "watchkeeper.digest": "call",
    "watchkeeper.result_digest": "result",
}
_s = spans.c


@dataclass(frozen=True, slots=True)
class Looked:
    """A run as far as it matters: what began in it before a time, and runs that it opened."""

    run: str
    before: int
    found: tuple[Span, ...]
    left_out: bool


def target(tx: Transaction, key: str) -> Span | None:
    """Return the run or the span that is asked about."""
    row = tx.connection.execute(select(spans).where(_s.key == key)).first()
    return None if row is None else as_span(row)


def cut_of(span: Span, now: int) -> int:
    """Return up to when something may have reached it: a run's end, a step's beginning."""
    if span.kind == "run":
        return now if span.end is None else span.end + 1
    return span.start


def look(tx: Transaction, run: str, before: int) -> Looked:
    """Read what began in a run before a time, and the runs that it opened."""
    rows = tx.connection.execute(begun(run, before)).all()
    found = [as_span(row) for row in rows[:MOST_LOOKED_AT]]
    own = next((span for span in found if span.key == run), None) or target(tx, run)
    if own is not None:
        found += [as_span(row) for row in tx.connection.execute(opened(own.trace, run, before))]
    return Looked(run, before, tuple(found), len(rows) > MOST_LOOKED_AT)


def begun(run: str, before: int) -> Select[Any]:
    """Return the query for what began last in a run before a time."""
    known = select(spans).where(_s.run == run, _s.start < before)
    return known.order_by(_s.start.desc()).limit(MOST_LOOKED_AT + 1)


def opened(trace: str, run: str, before: int) -> Select[Any]:
    """Return the query for the runs that a run opened: they are in its trace."""
    found = select(spans).where(
        _s.trace == trace, _s.kind == "run", _s.parent == span_of(run), _s.start < before
    )
    return found.limit(MOST_LOOKED_AT)


def rests(asked: Span, looked: Iterable[Looked]) -> list[Rest]:
    """Return what it rests on, the latest first."""
    found = []
    for one in looked:
        for span in one.found:
            basis = _basis(span, one, asked)
            if basis is not None:
                found.append(_rest(span, basis))
    return sorted(found, key=lambda rest: (-rest.at, rest.key))


def _basis(span: Span, looked: Looked, asked: Span) -> Basis | None:
    if span.key in (asked.key, looked.run):
        return None
    if span.kind == "approval":
        return "approval" if span.verdict in _GRANTED else None
    if span.end is None or span.end > looked.before:
        return None  # it had given nothing yet
    if span.kind == "run":
        return "delegation"
    if span.kind == "action" and span.verdict != "permit":
        return None
    if span.source == "agent" and any(link.relation == "said" for link in span.links):
        return None  # the plane's own span of the same call stands for both
    if _MEMORY in span.operation:
        return "memory"
    if span.operation in _RETRIEVES:
        return "retrieval"
    if span.operation == "execute_tool":
        return "tool"
    if span.operation in _MODELS:
        return "model"
    return None


def _rest(span: Span, basis: Basis) -> Rest:
    digests = {
        short: value
        for name, short in _DIGESTS.items()
        if isinstance(value := span.attributes.get(name), str)
    }
    return Rest(
        basis=basis,
        key=span.key,
        run=span.run,
        agent=span.agent,
        name=span.name,
        at=span.start if span.end is None else span.end,
        outcome=span.verdict if span.kind == "approval" else span.outcome,
        rule=span.rule,
        source=span.source,
        digests=digests,
        request=span.request,
        by=span.principal if span.kind == "approval" else None,
        data_source=_source(span),
    )


def _source(span: Span) -> str | None:
    source = span.attributes.get("gen_ai.data_source.id")
    return source if isinstance(source, str) else None


def rules_of(found: Sequence[Span]) -> tuple[str, ...]:
    """Return what decided some spans, each once."""
    return tuple(sorted({span.rule for span in found if span.rule and span.kind == "action"}))


def epoch_of(found: Sequence[Span]) -> int | None:
    """Return the newest lock that was known when any of them was decided."""
    epochs = [span.attributes.get("watchkeeper.epoch") for span in found]
    return max((epoch for epoch in epochs if isinstance(epoch, int)), default=None)


def policies_of(found: Sequence[Span]) -> str | None:
    """Return the digest of the policies in force when the last of them was decided."""
    decided = [span for span in found if "watchkeeper.policies" in span.attributes]
    last = max(decided, key=lambda span: (span.start, span.key), default=None)
    return None if last is None else str(last.attributes["watchkeeper.policies"])
