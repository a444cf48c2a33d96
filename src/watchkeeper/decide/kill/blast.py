"""The blast radius of a lock, counted now."""

from __future__ import annotations

from collections.abc import Container, Mapping

from watchkeeper.approvals import service as approvals
from watchkeeper.approvals.tables import requests
from watchkeeper.budgets import service as budgets
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.kill.effects import Reach, people_told, reach_of, request_of, tools_under
from watchkeeper.decide.kill.flight import Flights
from watchkeeper.identity.tables import runs
from watchkeeper.kill.model import LockTarget
from watchkeeper.kill.rules import confirmation, wider
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.locks import BlastRadius, Target, TargetKind


def measure(
    tx: Transaction, catalogue: Catalogue, flights: Flights, target: LockTarget
) -> BlastRadius:
    """Return what a lock on `target` would stop, and how it must be confirmed."""
    reach = reach_of(tx, catalogue, target)
    covered = reach.runs
    names = [row.run for row in covered]
    agent = target.name.partition("@")[0] if target.kind in {"agent", "version"} else None
    if target.kind == "run":
        found = tx.connection.execute(runs.select().where(runs.c.run == target.name)).first()
        agent = found.agent if found else None
    team = target.name if target.kind == "team" else catalogue.team_of(agent or "")
    how, text = confirmation(target)
    return BlastRadius(
        target=Target(kind=target.kind, name=target.name),
        agents=tuple(sorted(reach.agents)),
        open_runs=len(covered),
        child_runs=sum(row.lineage is not None for row in covered),
        runtimes=tuple(sorted(reach.runtimes)),
        in_flight=flights.count(target),
        pending_requests=approvals.count_open(
            tx, runs=names, tools=tools_under(catalogue, target), request=request_of(target)
        ),
        live_holds_micros=budgets.live_spend(tx, names),
        told=people_told(catalogue, target, reach.agents),
        confirmation=how,
        confirm_text=text,
        wider=tuple(Target(kind=w.kind, name=w.name) for w in wider(target, agent, team or None)),
        known=_is_known(tx, catalogue, target, reach),
    )


def _is_known(tx: Transaction, catalogue: Catalogue, target: LockTarget, reach: Reach) -> bool:
    """Tell whether anything is called so: a lock on a name that is mistyped stops nothing."""
    name = target.name
    if target.kind in {"everything", "person"} or reach.agents or reach.runs:
        return True
    if target.kind == "run":
        query = runs.select().where(runs.c.run == name)
        return tx.connection.execute(query).first() is not None
    if target.kind == "approval":
        asked = requests.select().where(requests.c.request == name)
        return tx.connection.execute(asked).first() is not None
    if target.kind == "version":
        agent, _, number = name.partition("@")
        governed = catalogue.agents.get(agent)
        return governed is not None and 0 < int(number) <= governed.version
    documents: Mapping[TargetKind, Container[str]] = {
        "tool": catalogue.tools,
        "model": catalogue.models,
        "upstream": catalogue.upstreams,
        "provider": catalogue.providers,
        "runtime": catalogue.runtimes,
    }
    return name in documents.get(target.kind, ())
