"""What was spent: by whom and on what, and what runs cost."""

from __future__ import annotations

from typing import get_args

from watchkeeper.api.named import NAMED, named_in
from watchkeeper.api.table import Call, Operation
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Invalid
from watchkeeper.decide.spending.attribution import read_spending
from watchkeeper.decide.spending.dimensions import is_named
from watchkeeper.decide.spending.run_costs import read_run_costs
from watchkeeper.decide.spending.sums import Scope
from watchkeeper.wire.spending import RunCosts, Spending, SpendingBy

_USUAL_DAYS = 7


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
        "/v1/run-costs",
        "read",
        run_costs,
        "Say what runs cost by agent and version, and how their 95th percentile drifts.",
        answers=RunCosts,
        query=("until", "agent", "limit"),
        tags=("spending",),
    ),
)
