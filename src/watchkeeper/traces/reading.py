"""Windows over spans, and the trace of a run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select

from watchkeeper.core.errors import Invalid
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces.attributes import attributes_of
from watchkeeper.traces.model import Span
from watchkeeper.traces.rows import as_span
from watchkeeper.traces.tables import spans
from watchkeeper.traces.words import matching
from watchkeeper.wire.data import DataClass
from watchkeeper.wire.traces import (
    SpanKind,
    SpanLink,
    SpanMark,
    SpanRow,
    SpanSource,
    SpanStatus,
)

_s = spans.c
_LONGEST_TIME = 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which spans are looked for; what is None is not asked."""

    agent: str | None = None
    version: int | None = None
    run: str | None = None
    trace: str | None = None
    kind: SpanKind | None = None
    operation: str | None = None
    subject: str | None = None
    status: SpanStatus | None = None
    verdict: str | None = None
    outcome: str | None = None
    rule: str | None = None
    principal: str | None = None
    source: SpanSource | None = None
    data: DataClass | None = None
    cost_at_least: int | None = None
    since: int | None = None
    until: int | None = None
    text: str | None = None
    """Words that refusals, holds, errors or approvals have."""


ANY = Wanted()
_EQUAL = (
    "agent", "version", "run", "trace", "kind", "operation", "subject", "status", "verdict",
    "outcome", "rule", "principal", "source",
)  # fmt: skip


def list_spans(
    tx: Transaction,
    wanted: Wanted = ANY,
    *,
    agents: Collection[str] | None = None,
    after: str | None = None,
    limit: int = 100,
) -> tuple[list[Span], str | None]:
    """Return a page of spans, newest first, and the key to continue after.

    `agents` are all that is seen. Raises `Invalid` for a key that no page ended with.
    """
    query = select(spans).where(*conditions(wanted))
    if agents is not None:
        query = query.where(_s.agent.in_(agents))
    if wanted.text is not None:
        query = query.where(matching(tx, wanted.text))
    if after is not None:
        start, key = _read_key(after)
        query = query.where(or_(_s.start < start, and_(_s.start == start, _s.key < key)))
    query = query.order_by(_s.start.desc(), _s.key.desc()).limit(limit + 1)
    return _page([as_span(row) for row in tx.connection.execute(query)], limit)


def conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    """Return what is asked of spans but their words, for a query over them."""
    found = [_s[name] == value for name in _EQUAL if (value := getattr(wanted, name)) is not None]
    if wanted.data is not None:
        # no class is named within another's name
        found.append(_s.classes.contains(wanted.data))
    if wanted.cost_at_least is not None:
        found.append(_s.cost_micros >= wanted.cost_at_least)
    if wanted.since is not None:
        found.append(_s.start >= wanted.since)
    if wanted.until is not None:
        found.append(_s.start < wanted.until)
    return found


def spans_of_run(
    tx: Transaction, run: str, *, after: str | None = None, limit: int = 500
) -> tuple[list[Span], str | None]:
    """Return the spans of a run in the order in which they began, and the key to go on after."""
    query = select(spans).where(_s.run == run)
    if after is not None:
        start, key = _read_key(after)
        query = query.where(or_(_s.start > start, and_(_s.start == start, _s.key > key)))
    query = query.order_by(_s.start, _s.key).limit(limit + 1)
    return _page([as_span(row) for row in tx.connection.execute(query)], limit)


def in_causal_order(found: Sequence[Span], run: str) -> list[tuple[int, Span]]:
    """Return spans each below what caused it, by time, with how deep it stands.

    What caused one may be elsewhere: in the agent's own telemetry that never came, in the run
    above, on the page before. Such a span stands below what an agent said of the same call, or
    below the run itself.
    """
    said = {
        link.span: span for span in found for link in span.links
        if link.relation == "said" and span.source == "agent"
    }  # fmt: skip
    by_span = {span.span: span for span in found}
    top = next((span for span in found if span.key == run), None)
    below: dict[str | None, list[Span]] = {}
    for span in found:
        above = by_span.get(span.parent) if span.parent and span is not top else None
        if span is not top and (above is None or above is span or above is top):
            above = said.get(span.span, top) if span.source == "plane" else top
        below.setdefault(above.key if above else None, []).append(span)
    ordered: list[tuple[int, Span]] = []
    seen: set[str] = set()
    _walk(below, [(0, span) for span in reversed(below.get(None, []))], ordered, seen)
    # telemetry that says of spans that each caused the other hangs from nothing
    for span in found:
        if span.key not in seen:
            _walk(below, [(1 if top else 0, span)], ordered, seen)
    return ordered


def _walk(
    below: dict[str | None, list[Span]],
    waiting: list[tuple[int, Span]],
    ordered: list[tuple[int, Span]],
    seen: set[str],
) -> None:
    while waiting:
        depth, span = waiting.pop()
        if span.key in seen:
            continue
        seen.add(span.key)
        ordered.append((depth, span))
        waiting += [(depth + 1, one) for one in reversed(below.get(span.key, []))]


def as_shown(span: Span, depth: int = 0) -> SpanRow:
    """Return a span as it is shown."""
    fields: dict[str, Any] = {
        name: getattr(span, name)
        for name in span.__struct_fields__
        if name not in ("links", "marks", "attributes")
    }
    return SpanRow(
        **fields,
        name=span.name,
        took_ms=None if span.end is None else (span.end - span.start) // 1000,
        links=tuple(
            SpanLink(trace=link.trace, span=link.span, relation=link.relation)
            for link in span.links
        ),
        marks=tuple(
            SpanMark(at=mark.at, name=mark.name, text=mark.text, sequence=mark.sequence)
            for mark in span.marks
        ),
        attributes=attributes_of(span),
        depth=depth,
    )


def _page(found: list[Span], limit: int) -> tuple[list[Span], str | None]:
    page = found[:limit]
    return page, f"{page[-1].start}.{page[-1].key}" if len(found) > limit else None


def _read_key(after: str) -> tuple[int, str]:
    start, _, key = after.partition(".")
    if not (start.isascii() and start.isdigit() and len(start) < _LONGEST_TIME and key):
        raise Invalid("not a key that a page ended with", where="after")
    return int(start), key
