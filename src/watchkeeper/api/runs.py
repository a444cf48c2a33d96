"""Runs and the decisions made in them."""

from __future__ import annotations

from typing import get_args

from watchkeeper.api.named import NAMED, named_in
from watchkeeper.api.table import Call, Operation
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import NotFound, Unauthenticated
from watchkeeper.decide.listing import WantedRuns, list_runs, read_run
from watchkeeper.decide.recorded import Wanted, list_decisions
from watchkeeper.decide.records import find_decision
from watchkeeper.identity.principals import spiffe_id
from watchkeeper.identity.recorded import no_run
from watchkeeper.identity.runs import agent_of_run, facts_of
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.agents import RunDetail, RunRow
from watchkeeper.wire.data import DATA_CLASSES
from watchkeeper.wire.decisions import (
    ActionKind,
    Answer,
    DecisionOrder,
    DecisionRow,
    EndedAs,
    Verdict,
)
from watchkeeper.wire.pages import Page


async def runs(call: Call) -> Page[RunRow]:
    """List runs, newest first."""
    wanted = WantedRuns(
        agent=call.text("agent"),
        version=call.whole("version"),
        state=call.text("state"),
        on_behalf_of=call.text("on_behalf_of"),
        cost_at_least=call.whole("cost_at_least"),
        replay_of=call.text("replay_of"),
        text=call.text("filter"),
    )
    after, limit = call.text("after"), call.limit()
    head, seen = call.rooms.store.head, call.agents_seen()

    def query(tx: Transaction) -> tuple[list[RunRow], str | None]:
        return list_runs(tx, wanted, agents=seen, after=after, limit=limit)

    read = call.rooms.store.scan if wanted.rare else call.rooms.store.read
    rows, following = await read(query)
    return Page[RunRow](rows=tuple(rows), next=following, sequence=head)


async def run(call: Call) -> RunDetail:
    """Show one run."""
    found = await show_run(call, call.path("run"))
    call.check_agent("read", found.agent)
    return found


async def show_run(call: Call, run: str) -> RunDetail:
    """Return a run; raise `NotFound` if there is none."""
    found = await call.rooms.store.read(lambda tx: read_run(tx, run))
    if found is None:
        raise no_run(run)
    shown = spiffe_id(call.rooms.tokens.proofs.trust_domain, "run", found.run)
    return found.model_copy(update={"spiffe_id": shown})


async def agent_of(call: Call, run: str) -> str:
    """Return whose run it is; raise `NotFound` if there is none."""
    found = await call.rooms.store.read(lambda tx: agent_of_run(tx, run))
    if found is None:
        raise no_run(run)
    return found


async def decisions(call: Call) -> Page[DecisionRow]:
    """List recorded decisions, newest or dearest first."""
    wanted, after, limit = _wanted(call), call.text("after"), call.limit()
    head, seen = call.rooms.store.head, call.agents_seen()

    def query(tx: Transaction) -> tuple[list[DecisionRow], str | None]:
        return list_decisions(tx, wanted, agents=seen, after=after, limit=limit)

    read = call.rooms.store.scan if wanted.rare else call.rooms.store.read
    rows, following = await read(query)
    return Page[DecisionRow](rows=tuple(rows), next=following, sequence=head)


def _wanted(call: Call) -> Wanted:
    within = call.whole("within_seconds")
    since = call.whole("since")
    if within is not None:
        since = max(since or 0, call.rooms.clock.now() - within * MICROSECONDS)
    return Wanted(
        named=named_in(call),
        name=call.text("name"),
        kind=call.option("kind", get_args(ActionKind)),
        verdict=call.option("verdict", get_args(Verdict)),
        outcome=call.option("outcome", get_args(EndedAs)),
        data=call.option("data", DATA_CLASSES),
        budget=call.text("budget"),
        cost_at_least=call.whole("cost_at_least"),
        since=since,
        until=call.whole("until"),
        order=call.option("order", get_args(DecisionOrder)) or "newest",
    )


async def decision(call: Call) -> Answer:
    """Show a decision again to the run that asked for it."""
    wanted, token = call.path("decision"), call.token

    def query(tx: Transaction) -> Answer:
        facts = facts_of(tx, token)
        if facts is None:
            raise Unauthenticated("the run token is not known to this plane", rule="identity/token")
        row = find_decision(tx, wanted)
        if row.run != facts.run:
            raise NotFound(f"there is no decision {wanted!r:.80} in this run")
        return Answer(
            decision=row.decision,
            verdict=row.verdict,
            rule=row.rule,
            reason=row.reason,
            digest=row.digest,
            request=row.request,
        )

    return await call.rooms.store.read(query)


_DECISIONS = (
    *NAMED, "kind", "name", "verdict", "outcome", "data", "budget", "cost_at_least", "since",
    "until", "within_seconds", "order", "after", "limit",
)  # fmt: skip
OPERATIONS = (
    Operation(
        "GET",
        "/v1/runs",
        "read",
        runs,
        "List runs, newest first.",
        answers=Page[RunRow],
        query=(
            "agent",
            "version",
            "state",
            "on_behalf_of",
            "cost_at_least",
            "replay_of",
            "filter",
            "after",
            "limit",
        ),
        tags=("runs",),
    ),
    Operation(
        "GET",
        "/v1/runs/{run}",
        "read",
        run,
        "Show a run.",
        answers=RunDetail,
        tags=("runs",),
    ),
    Operation(
        "GET",
        "/v1/decisions",
        "read",
        decisions,
        "List recorded decisions, newest or dearest first.",
        answers=Page[DecisionRow],
        query=_DECISIONS,
        tags=("runs",),
    ),
    Operation(
        "GET",
        "/v1/decisions/{decision}",
        "agent",
        decision,
        "Show a decision again to the run that asked for it (bearer: the run's token).",
        answers=Answer,
        tags=("agents",),
    ),
)
