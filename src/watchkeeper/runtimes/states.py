"""How runtimes do, as they last answered."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import bindparam, select

from watchkeeper.core.text import make_safe
from watchkeeper.runtimes import rules
from watchkeeper.runtimes.model import Offered
from watchkeeper.runtimes.tables import runtime_states
from watchkeeper.store.statement import Row, Statement, insert
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.runtimes import RuntimeHealth

_MOST_OFFERED = 500

_put_state = insert(runtime_states).values(
    **{column.name: bindparam(column.name) for column in runtime_states.c}
)
_PUT_STATE = Statement(
    _put_state.on_conflict_do_update(
        index_elements=["runtime"],
        set_={
            column.name: _put_state.excluded[column.name]
            for column in runtime_states.c
            if column.name != "runtime"
        },
    )
)
_STATE = Statement(
    select(runtime_states).where(runtime_states.c.runtime == bindparam("runtime_is"))
)


def state_of(tx: Transaction, runtime: str) -> Row | None:
    """Return what is known of a runtime, or None if it was never asked."""
    return _STATE.first(tx, runtime_is=runtime)


def states(tx: Transaction) -> dict[str, Row]:
    """Return what is known of every runtime that was ever asked, by name."""
    return {row.runtime: row for row in tx.connection.execute(select(runtime_states))}


def keep_state(
    tx: Transaction,
    runtime: str,
    *,
    health: RuntimeHealth,
    problem: str | None,
    version: str | None,
    latency_us: int | None,
    answered: bool,
    listed: bool,
    complete: bool,
    failures: int,
    offered: Sequence[Offered] | None,
) -> None:
    """Keep how a runtime did just now; that it went down or came back is an event."""
    was = _STATE.first(tx, runtime_is=runtime)
    before: RuntimeHealth = was.answers if was else "unknown"
    problem = str(make_safe(problem, limit=300)) if problem else None
    kept = json.dumps(_offered(offered)) if offered is not None else None
    _PUT_STATE.run(
        tx,
        runtime=runtime,
        answers=health,
        problem=problem,
        version=str(make_safe(version, limit=100)) if version else (was.version if was else None),
        latency_us=latency_us if answered else (was.latency_us if was else None),
        seen_at=tx.now if answered else (was.seen_at if was else None),
        looked_at=tx.now,
        listed_at=tx.now if listed else (was.listed_at if was else None),
        complete=int(complete) if listed else (was.complete if was else 1),
        failures=failures,
        offered=kept if kept is not None else (was.offered if was else "[]"),
    )
    if (before == "down") == (health == "down"):
        tx.silent("how it does is looked at again and again")
        return
    text = f"runtime {runtime} is down: {problem}" if health == "down" else None
    tx.record(
        "runtime.went_down" if health == "down" else "runtime.came_back",
        actor="plane",
        subject=f"runtime/{runtime}",
        body={"health": health, "text": text or f"runtime {runtime} answers again"},
    )


def _offered(found: Sequence[Offered]) -> list[list[str]]:
    return [
        [str(make_safe(one.id, limit=rules.LONGEST_ID)), str(make_safe(one.name, limit=100))]
        for one in found[:_MOST_OFFERED]
    ]
