"""Signs of life of runs, and outcomes that wait for a person's word."""

from __future__ import annotations

from watchkeeper.api.table import MOST_ROWS, Call, Operation
from watchkeeper.core.errors import NotFound, Unauthenticated
from watchkeeper.decide.records import find_decision
from watchkeeper.decide.runs import reconciling
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.health import HeartbeatTaken, Reconcile, Unsettled, UnsettledRow


async def heartbeat(call: Call) -> HeartbeatTaken:
    """Hear that a run lives."""
    if not call.token.startswith("wkr_"):
        raise Unauthenticated("say so with the run's token", rule="identity/token")
    return await call.rooms.health.beat(call.token)


async def list_unsettled(call: Call) -> Unsettled:
    """List outcomes that nobody knows, or that a person settled."""
    state = call.one_of("state", ("unknown", "reconciled", "all"))
    agent, after, limit = call.text("agent"), call.text("after"), call.limit()
    catalogue, head = call.rooms.view.now, call.rooms.store.head
    seen = call.agents_seen()

    def query(tx: Transaction) -> Unsettled:
        rows, following, total, models = reconciling.list_unsettled(
            tx, catalogue, state=state, agent=agent, agents=seen, after=after, limit=limit
        )
        return Unsettled(
            rows=tuple(rows), next=following, total=total, model_calls=models, sequence=head
        )

    read = call.rooms.store.read if state == "unknown" else call.rooms.store.scan
    return await read(query)


async def unsettled_outcomes(call: Call) -> tuple[UnsettledRow, ...]:
    """Return the risky tool calls of which nobody knows how they ended, a bounded number."""
    catalogue, seen = call.rooms.view.now, call.agents_seen()
    rows, *_ = await call.rooms.store.read(
        lambda tx: reconciling.list_unsettled(
            tx, catalogue, agents=seen, risky=True, limit=MOST_ROWS
        )
    )
    return tuple(rows)


async def show_unsettled(call: Call) -> UnsettledRow:
    """Show one of them."""
    row = await call.rooms.store.read(lambda tx: find_decision(tx, call.path("decision")))
    call.check_agent("read", row.agent)
    return await _show(call, row)


async def reconcile(call: Call) -> UnsettledRow:
    """Settle an outcome by a person's word."""
    body: Reconcile = call.body
    decision = call.path("decision")
    row = await call.rooms.store.read(lambda tx: find_decision(tx, decision))
    call.check_agent("lift", row.agent)
    level = call.rooms.view.now.redaction_of(row.agent)
    await call.rooms.store.write(
        lambda tx: reconciling.reconcile(
            tx, decision, body.status, reason=body.reason, by=call.actor, level=level
        )
    )
    return await _show(call, row)


async def _show(call: Call, row: Row) -> UnsettledRow:
    catalogue = call.rooms.view.now
    found = await call.rooms.store.read(
        lambda tx: reconciling.read_unsettled(tx, catalogue, row.decision)
    )
    if found is None:
        raise NotFound(
            f"it is known how decision {row.decision} ended",
            remedy="see `watchkeeper decisions` and `watchkeeper unsettled list`",
        )
    return found


OPERATIONS = (
    Operation(
        "POST",
        "/v1/heartbeat",
        "agent",
        heartbeat,
        "Say that a run lives (bearer: the run's token); whatever it asks for says so too.",
        answers=HeartbeatTaken,
        tags=("agents",),
    ),
    Operation(
        "GET",
        "/v1/unsettled",
        "read",
        list_unsettled,
        "List tool calls of which nobody knows how they ended, oldest first.",
        answers=Unsettled,
        query=("state", "agent", "after", "limit"),
        tags=("runs",),
    ),
    Operation(
        "GET",
        "/v1/unsettled/{decision}",
        "read",
        show_unsettled,
        "Show one of them.",
        answers=UnsettledRow,
        tags=("runs",),
    ),
    Operation(
        "POST",
        "/v1/unsettled/{decision}/reconcile",
        "lift",
        reconcile,
        "Say how an action ended of which nobody knew, and how you know.",
        answers=UnsettledRow,
        takes=Reconcile,
        by_team=True,
        tags=("runs",),
    ),
)
