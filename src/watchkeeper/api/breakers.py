"""Circuit breakers: how they stand, and closing one by hand."""

from __future__ import annotations

from watchkeeper.api.table import MOST_ROWS, Call, Operation
from watchkeeper.breakers import rules, service
from watchkeeper.breakers.model import Standing, breaker_id
from watchkeeper.core.errors import NotFound
from watchkeeper.decide.budgets.breakers import breakers_in_force, document_over
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.registry.spending import Breaker
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.breakers import BreakerReset, BreakerRow
from watchkeeper.wire.pages import Page


async def list_breakers(call: Call) -> Page[BreakerRow]:
    """List breakers, those that are not closed first."""
    state = call.one_of("state", ("all", "open"))
    head = call.rooms.store.head
    rows, total = await _list(
        call, agent=call.text("agent"), only_open=state == "open", limit=call.limit()
    )
    return Page[BreakerRow](rows=rows, total=total, sequence=head)


async def open_breakers(call: Call) -> tuple[BreakerRow, ...]:
    """Return the breakers that are not closed, of the agents that the caller may see."""
    return (await _list(call, agent=None, only_open=True, limit=MOST_ROWS))[0]


async def _list(
    call: Call, *, agent: str | None, only_open: bool, limit: int
) -> tuple[tuple[BreakerRow, ...], int]:
    catalogue = call.rooms.view.now.seen_in(call.who.permissions.teams("read"))

    def query(tx: Transaction) -> tuple[tuple[BreakerRow, ...], int]:
        tripped = service.read_all(tx)
        found = [
            (breaker, name, document, tripped.get(breaker))
            for breaker, name, document in breakers_in_force(catalogue)
            if agent in (None, name) and not (only_open and _is_closed(tripped.get(breaker)))
        ]
        found.sort(key=lambda one: (_is_closed(one[3]), one[0]))
        return tuple(_show(call, tx, catalogue, *one) for one in found[:limit]), len(found)

    return await call.rooms.store.read(query)


def _is_closed(standing: Standing | None) -> bool:
    return standing is None or standing.state == "closed"


async def read_breaker(call: Call) -> BreakerRow:
    """Show one breaker."""
    agent = call.path("agent")
    call.check_agent("read", agent)
    return await _read(call, breaker_id(call.path("document"), agent))


async def reset(call: Call) -> BreakerRow:
    """Close a breaker by hand."""
    body: BreakerReset = call.body
    agent = call.path("agent")
    call.check_agent("lift", agent)
    breaker = breaker_id(call.path("document"), agent)

    def unit(tx: Transaction) -> None:
        service.reset(tx, breaker, by=call.actor, reason=body.reason)
        call.rooms.decider.breakers.changed(tx, agent)

    await call.rooms.store.write(unit)
    return await _read(call, breaker)


async def _read(call: Call, breaker: str) -> BreakerRow:
    catalogue = call.rooms.view.now
    name, _, agent = breaker.partition("/")
    document = document_over(catalogue, name, agent)
    if document is None:
        raise NotFound(
            f"there is no breaker {breaker!r:.130}", remedy="see `watchkeeper breakers list`"
        )
    return await call.rooms.store.read(
        lambda tx: _show(call, tx, catalogue, breaker, agent, document, service.find(tx, breaker))
    )


def _show(
    call: Call,
    tx: Transaction,
    catalogue: Catalogue,
    breaker: str,
    agent: str,
    document: Breaker,
    standing: Standing | None,
) -> BreakerRow:
    governed = catalogue.agents[agent]
    standing = standing or Standing(breaker, document.name, agent, governed.version, "closed")
    watch = call.rooms.watching_agents.remembered(breaker, governed.version)
    is_open = standing.state != "closed"
    return BreakerRow(
        breaker=breaker,
        team=governed.contract.owner,
        agent=agent,
        version=standing.version if is_open else governed.version,
        state=standing.state,
        does=document.then,
        detector=standing.detector,
        detectors=tuple(
            name
            for name in ("cost", "rate", "loop", "errors", "burn")
            if getattr(document, name) is not None
        ),
        reason=standing.reason,
        run=standing.run,
        opened_at=standing.opened_at,
        probes_at=rules.probes_at(
            standing, cool_down_seconds=document.cool_down_seconds, reset=document.reset
        ),
        probe=standing.probe,
        trips=service.trips_of_a_day(tx, breaker) if standing.trips else 0,
        refused=standing.refused,
        calls=watch.costs.calls if watch else 0,
        baseline_calls=document.cost.baseline_calls if document.cost else 0,
        median_cost_micros=watch.costs.median_micros if watch else None,
        calls_per_minute=watch.pace.per_minute if watch else None,
    )


OPERATIONS = (
    Operation(
        "GET",
        "/v1/breakers",
        "read",
        list_breakers,
        "List circuit breakers, those that are not closed first; all, or only these.",
        answers=Page[BreakerRow],
        query=("state", "agent", "limit"),
        tags=("breakers",),
    ),
    Operation(
        "GET",
        "/v1/breakers/{document}/{agent}",
        "read",
        read_breaker,
        "Show the breaker of an agent under a document.",
        answers=BreakerRow,
        tags=("breakers",),
    ),
    Operation(
        "POST",
        "/v1/breakers/{document}/{agent}/reset",
        "lift",
        reset,
        "Close a breaker by hand, for a reason.",
        answers=BreakerRow,
        takes=BreakerReset,
        by_team=True,
        tags=("breakers",),
    ),
)
