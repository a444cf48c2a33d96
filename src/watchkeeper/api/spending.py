"""What was spent: by whom and on what, and what runs cost."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import NamedTuple, get_args

from starlette.responses import Response

from watchkeeper.api.named import NAMED, named_in
from watchkeeper.api.table import Call, Operation
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Invalid
from watchkeeper.decide.spending.attribution import read_spending
from watchkeeper.decide.spending.dimensions import is_named
from watchkeeper.decide.spending.periods import read_period
from watchkeeper.decide.spending.report import read_chargeback
from watchkeeper.decide.spending.run_costs import read_run_costs
from watchkeeper.decide.spending.sums import Scope
from watchkeeper.decide.spending.texts import as_csv, as_markdown
from watchkeeper.wire.spending import Chargeback, RunCosts, Spending, SpendingBy

_USUAL_DAYS = 7
_MOST_DIMENSIONS = 6
_LONGEST_ACCEPT = 1000
_WEIGHT = re.compile(r"(?:^|;)\s*q=([01](?:\.[0-9]{0,3})?)\s*(?:;|$)")


class Form(NamedTuple):
    """How a report may be written."""

    media_type: str
    write: Callable[[Chargeback], str]


_FORMS = {
    "json": Form("application/json", Chargeback.model_dump_json),
    "csv": Form("text/csv; charset=utf-8; header=present", as_csv),
    "markdown": Form("text/markdown; charset=utf-8", as_markdown),
}
"""By name; RFC 8259, RFC 4180 (3), RFC 7763."""


async def spending(call: Call) -> Spending:
    """Return what was spent; without a time that of the last seven days."""
    by: SpendingBy = call.one_of("by", get_args(SpendingBy))  # type: ignore[assignment]
    until, since = call.whole("until"), call.whole("since")
    until = call.rooms.clock.now() + 1 if until is None else until
    since = until - _USUAL_DAYS * 86_400 * MICROSECONDS if since is None else since
    if since >= until:
        raise Invalid("since must be before until", where="query: since")
    scope, limit = scope_of(call, since, until), call.limit()
    return await call.rooms.store.scan(lambda tx: read_spending(tx, by, scope, limit=limit))


def scope_of(call: Call, since: int, until: int) -> Scope:
    """Return which actions the caller asks for and may see."""
    named = tuple(is_named(by, name) for by, name in named_in(call).items())
    teams = call.who.permissions.teams("read")
    return Scope(since, until, named, teams=teams, agents=call.agents_seen())


async def chargeback(call: Call) -> Response:
    """Return the report of a period as JSON, CSV or Markdown."""
    made = _form(call)
    period = read_period(call.text("period") or "", call.text("zone") or "UTC")
    by = _dimensions(call.text("by") or "team,project")
    scope = scope_of(call, period.since, period.until)
    report = await call.rooms.store.scan(lambda tx: read_chargeback(tx, period, by, scope))
    text = await asyncio.to_thread(_FORMS[made].write, report)
    return Response(text, media_type=_FORMS[made].media_type)


def _form(call: Call) -> str:
    """Return what the caller asks for: `format`, or by `Accept` (RFC 9110, 12.5.1), or JSON."""
    if asked := call.option("format", tuple(_FORMS)):
        return str(asked)
    accepted = call.request.headers.get("accept", "")[:_LONGEST_ACCEPT].lower()
    wanted: list[tuple[float, str]] = []
    for one in accepted.split(","):
        kind, _, parameters = one.partition(";")
        said = _WEIGHT.search(parameters)
        wanted.append((float(said[1]) if said else 1.0, kind.strip()))
    for weight, kind in sorted(wanted, key=lambda pair: -pair[0]):
        for name, form in _FORMS.items():
            if weight and kind == form.media_type.partition(";")[0]:
                return name
    return "json"


def _dimensions(text: str) -> tuple[SpendingBy, ...]:
    asked = [one.strip() for one in text.split(",")]
    found = tuple(dict.fromkeys(one for one in NAMED if one in asked))
    if len(found) != len(asked) or len(found) > _MOST_DIMENSIONS:
        raise Invalid(
            f"by: {text!r:.80} is not up to {_MOST_DIMENSIONS} different ones of those there are",
            where="query: by",
            remedy="known are " + ", ".join(NAMED),
        )
    return tuple(sorted(found, key=asked.index))


async def run_costs(call: Call) -> RunCosts:
    """Return what runs cost that ended in the last seven days, or in those before a time."""
    until, agent, limit = call.whole("until"), call.text("agent"), call.limit()
    seen = call.agents_seen()
    until = call.rooms.clock.now() + 1 if until is None else until
    return await call.rooms.store.scan(
        lambda tx: read_run_costs(tx, until=until, agent=agent, agents=seen, limit=limit)
    )


OPERATIONS = (
    Operation(
        "GET",
        "/v1/spending",
        "read",
        spending,
        "Say what was spent by agent, model, team … beside the time before.",
        answers=Spending,
        query=("by", "since", "until", *NAMED, "limit"),
        tags=("spending",),
    ),
    Operation(
        "GET",
        "/v1/chargeback",
        "read",
        chargeback,
        "Report what is charged to whom for a period: JSON, CSV or Markdown (`Accept`, `format`).",
        answers=Chargeback,
        query=("period", "zone", "by", "format", *NAMED),
        tags=("spending",),
    ),
    Operation(
        "GET",
        "/v1/run-costs",
        "read",
        run_costs,
        "Say what runs cost by agent and version, and how their 95th percentile drifts.",
        answers=RunCosts,
        query=("until", "agent", "limit"),
        tags=("spending",),
    ),
)
