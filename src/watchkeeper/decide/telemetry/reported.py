"""What is to be kept of what an agent said: made without a store, in a process apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.decide.telemetry.cleaning import cleaner
from watchkeeper.traces.telemetry.keeping import Contents, as_kept
from watchkeeper.traces.telemetry.kept import Call, Kept
from watchkeeper.traces.telemetry.measuring import Measured
from watchkeeper.traces.telemetry.model import Named, Said, place_of
from watchkeeper.traces.telemetry.naming import MODEL_CALLS, TOOL_CALLS, name
from watchkeeper.wire.data import RedactionLevel

OLDEST_SECONDS = 7 * 86_400
AHEAD_SECONDS = 3600
"""How far a span's time may be from the plane's."""
_UNTIMED_SECONDS = 600
"""How long a call may have gone on of which a log record tells the end alone."""


class Allowed(msgspec.Struct, frozen=True, array_like=True):
    """What an agent's contract lets be kept; without `spans` nothing but its calls."""

    agent: str
    spans: bool
    contents: Contents
    level: RedactionLevel


class Reported(msgspec.Struct, frozen=True, array_like=True):
    """What was said in one trace under the same claims, as it may be kept."""

    trace: str
    run: str | None
    """The run that it says it belongs to."""
    session: str | None
    client: str | None
    """The coding agent whose session it is, as hooks name it."""
    count: int
    """How many spans were said."""
    spans: tuple[Kept, ...]
    calls: tuple[Call, ...]
    agents: tuple[str, ...]
    """Others that it says are at work."""


class Part(msgspec.Struct, frozen=True, array_like=True):
    """A bounded part of a request, in the order of the request; `end`: its last."""

    number: int
    """Of the request."""
    reported: tuple[Reported, ...] = ()
    rejected: int = 0
    """Records that were malformed, or of no time near the plane's."""
    logs: int = 0
    points: int = 0
    measured: tuple[Measured, ...] = ()
    """What its points tell of tokens and costs."""
    malformed: bool = False
    end: bool = False
    refused: tuple[int, str, str] | None = None
    """Why nothing more is taken of it: an HTTP status, what is wrong, what to do."""


def report(said: Iterable[Said], allowed: Allowed, now: int) -> tuple[list[Reported], int]:
    """Return what is kept of spans, and how many are of no time near the plane's."""
    groups: dict[tuple[str, str | None, str | None, str | None], list[tuple[Said, Named]]] = {}
    untimely = 0
    for one in said:
        if _is_of_these_days(one, now):
            named = name(one)
            of = one.trace, named.run, named.session, named.client
            groups.setdefault(of, []).append((one, named))
        else:
            untimely += 1
    return [_of_group(*of, group, allowed) for of, group in groups.items()], untimely


def _of_group(
    trace: str,
    run: str | None,
    session: str | None,
    client: str | None,
    group: Sequence[tuple[Said, Named]],
    allowed: Allowed,
) -> Reported:
    clean = cleaner(allowed.level)
    spans = (as_kept(said, named, allowed.contents, clean) for said, named in group)
    calls = (_call(said, named, clean(named.subject)) for said, named in group)
    names = dict.fromkeys(clean(named.agent) for _, named in group if named.agent)
    return Reported(
        trace,
        run,
        session,
        client,
        len(group),
        tuple(spans) if allowed.spans else (),
        tuple(call for call in calls if call is not None),
        tuple(one for one in names if one and one != allowed.agent),
    )


def _call(said: Said, named: Named, subject: str) -> Call | None:
    kind: Literal["tool", "model"] = "tool" if named.operation in TOOL_CALLS else "model"
    if kind == "model" and named.operation not in MODEL_CALLS:
        return None
    untimed = said.logged and said.start == said.end
    start = said.start - (_UNTIMED_SECONDS * MICROSECONDS if untimed else 0)
    place, end = place_of(said), max(said.start, said.end)
    return Call(place, said.parent, kind, subject, named.call, start, end)


def _is_of_these_days(said: Said, now: int) -> bool:
    oldest = now - OLDEST_SECONDS * MICROSECONDS
    newest = now + AHEAD_SECONDS * MICROSECONDS
    return oldest <= said.start <= newest and said.end <= newest
