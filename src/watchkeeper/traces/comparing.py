"""Two runs side by side: their actions aligned with as few differences as there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile

from watchkeeper.traces.model import Span
from watchkeeper.wire.asking import Change, Compared, Step

MOST_STEPS = 400
"""Steps of each run that are compared; what it costs grows with the square of it."""
_MUCH = 2
_LEAST_COST_MICROS = 100
_LEAST_MS = 50
"""Differences below these are noise, however many times as much they are."""

Pair = tuple[Span | None, Span | None]


def compare(a: Sequence[Span], b: Sequence[Span]) -> tuple[Compared, ...]:
    """Return what stands against what; actions are alike by what was done to which subject."""
    return tuple(_told(*pair) for pair in align(a[:MOST_STEPS], b[:MOST_STEPS]))


def align(a: Sequence[Span], b: Sequence[Span]) -> list[Pair]:
    """Pair steps by edit distance: leaving one out costs 1, so does another subject of the same
    operation; of equal ways the one that pairs the earliest is taken.
    """
    alike = len(list(takewhile(lambda pair: _same(*pair), zip(a, b, strict=False))))
    head: list[Pair] = list(zip(a[:alike], b[:alike], strict=True))
    a, b = a[alike:], b[alike:]
    pairs = zip(reversed(a), reversed(b), strict=False)
    at_end = len(list(takewhile(lambda pair: _same(*pair), pairs)))
    tail: list[Pair] = []
    if at_end:
        tail = list(zip(a[-at_end:], b[-at_end:], strict=True))
        a, b = a[:-at_end], b[:-at_end]
    return [*head, *_walk(a, b, _distances(a, b)), *tail]


def _distances(a: Sequence[Span], b: Sequence[Span]) -> list[list[int]]:
    """Return the distance between what is left of both from each place on."""
    theirs = [(one.operation, one.subject) for one in b]
    below = list(range(len(b), -1, -1))
    table = [below]
    for one in reversed(a):
        operation, what = one.operation, (one.operation, one.subject)
        right = below[-1] + 1
        row = [right]
        for place in range(len(b) - 1, -1, -1):
            other = theirs[place]
            best = 1 + min(below[place], right)
            if other[0] == operation:
                best = min(best, below[place + 1] + (other != what))
            row.append(best)
            right = best
        row.reverse()
        table.append(row)
        below = row
    table.reverse()
    return table


def _walk(a: Sequence[Span], b: Sequence[Span], table: list[list[int]]) -> Iterator[Pair]:
    i = j = 0
    while i < len(a) or j < len(b):
        here = table[i][j]
        if i < len(a) and j < len(b) and a[i].operation == b[j].operation:
            cost = 0 if _same(a[i], b[j]) else 1
            if here == table[i + 1][j + 1] + cost:
                yield a[i], b[j]
                i, j = i + 1, j + 1
                continue
        if i < len(a) and here == table[i + 1][j] + 1:
            yield a[i], None
            i += 1
        else:
            yield None, b[j]
            j += 1


def _same(one: Span, other: Span) -> bool:
    return (one.operation, one.subject) == (other.operation, other.subject)


def _told(a: Span | None, b: Span | None) -> Compared:
    change: Change = "only_b" if a is None else "only_a" if b is None else "same"
    differs: tuple[str, ...] = ()
    if a is not None and b is not None:
        differs = tuple(_differs(a, b))
        change = "changed" if differs else "same"
    return Compared(change=change, a=_step(a), b=_step(b), differs=differs)


def _differs(a: Span, b: Span) -> Iterator[str]:
    if not _same(a, b):
        yield "name"
    for name in ("verdict", "outcome", "rule"):
        if getattr(a, name) != getattr(b, name):
            yield name
    if _apart(a.cost_micros, b.cost_micros, _LEAST_COST_MICROS):
        yield "cost"
    first, second = took_ms(a), took_ms(b)
    if first is not None and second is not None and _apart(first, second, _LEAST_MS):
        yield "time"


def _apart(one: int, other: int, least: int) -> bool:
    low, high = sorted((one, other))
    return high - low >= least and high >= _MUCH * low


def took_ms(span: Span) -> int | None:
    """Return how long it took; None while it lasts."""
    return None if span.end is None else (span.end - span.start) // 1000


def _step(span: Span | None) -> Step | None:
    if span is None:
        return None
    return Step(
        key=span.key,
        name=span.name,
        verdict=span.verdict,
        outcome=span.outcome,
        rule=span.rule,
        took_ms=took_ms(span),
        cost_micros=span.cost_micros,
        tokens=span.input_tokens + span.output_tokens,
    )
