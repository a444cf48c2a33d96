"""The blast radius of a lock, counted now."""

from __future__ import annotations

from watchkeeper.approvals import service as approvals
from watchkeeper.budgets import service as budgets
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.flight import Flights
from watchkeeper.decide.stop import open_runs_under, people_told
from watchkeeper.identity.tables import runs
from watchkeeper.kill.model import Covered, LockTarget
from watchkeeper.kill.rules import confirmation, covers, wider
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.locks import BlastRadius, Target


def measure(
    tx: Transaction, catalogue: Catalogue, flights: Flights, target: LockTarget
) -> BlastRadius:
    """Return what a lock on `target` would stop, and how it must be confirmed."""
    covered = open_runs_under(tx, catalogue, target)
    names = [row.run for row in covered]
    agent = target.name if target.kind == "agent" else None
    if target.kind == "run":
        found = tx.connection.execute(runs.select().where(runs.c.run == target.name)).first()
        agent = found.agent if found else None
    team = target.name if target.kind == "team" else catalogue.team_of(agent or "")
    how, text = confirmation(target)
    return BlastRadius(
        target=Target(kind=target.kind, name=target.name),
        agents=tuple(sorted(_agents_under(catalogue, target) | {row.agent for row in covered})),
        open_runs=len(covered),
        in_flight=flights.count(target),
        pending_requests=approvals.count_open(
            tx, runs=names, tool=target.name if target.kind == "tool" else None
        ),
        live_holds_micros=budgets.live_spend(tx, names),
        told=people_told(catalogue, target),
        confirmation=how,
        confirm_text=text,
        wider=tuple(Target(kind=w.kind, name=w.name) for w in wider(target, agent, team or None)),
    )


def _agents_under(catalogue: Catalogue, target: LockTarget) -> set[str]:
    return {
        name
        for name, governed in catalogue.agents.items()
        if covers(target, Covered("", name, governed.contract.owner))
        or (target.kind == "tool" and target.name in governed.tools)
    }
