"""Which incident a lock belongs to, and what it holds back from being purged.

All of it is in the lock's own transaction. Nothing here keeps a lock from coming into force: an
incident that was named and can't be joined is left alone, and the receipt says so.
"""

from __future__ import annotations

from sqlalchemy import select

from watchkeeper.core.errors import NotFound
from watchkeeper.core.words import count
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.gates.kill import covered_run
from watchkeeper.decide.kill.effects import Reach, reach_of
from watchkeeper.identity.model import read_lineage
from watchkeeper.identity.runs import agent_of_run, find_run
from watchkeeper.incidents import rules, service
from watchkeeper.incidents.model import Joining, NewIncident
from watchkeeper.incidents.tables import incident_locks, incidents, is_open
from watchkeeper.kill.model import PLANE, Covered, LockInForce, LockTarget, Receipt
from watchkeeper.kill.rules import DID, covers
from watchkeeper.kill.tables import locks
from watchkeeper.store.retention import Held
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.incidents import Joined
from watchkeeper.wire.locks import ENDS, TargetKind

_MOST_OPEN = 500
_LONGEST_TITLE = 200
_BEYOND: dict[TargetKind, frozenset[TargetKind]] = {
    "run": frozenset({"agent", "version", "team", "person", "runtime"}),
    "version": frozenset({"agent", "team", "runtime"}),
    "agent": frozenset({"team", "runtime"}),
    "tool": frozenset({"upstream"}),
}
"""Kinds of targets that may cover all of one; `everything` always does."""
_OPEN = Statement(
    select(incidents.c.incident, locks.c.target_kind, locks.c.target_name)
    .join(incident_locks, incident_locks.c.incident == incidents.c.incident)
    .join(locks, locks.c.lock == incident_locks.c.lock)
    .where(is_open, incident_locks.c.left_at.is_(None))
    .order_by(incidents.c.incident.desc())
    .limit(_MOST_OPEN)
)


def take_in(
    tx: Transaction,
    catalogue: Catalogue,
    lock: LockInForce,
    reach: Reach,
    named: str | None = None,
) -> Receipt:
    """Have a lock that comes into force belong to an incident, and return the receipt of what is
    preserved.

    A stop or drain by a person joins the newest open incident of which it covers a lock's whole
    target, or opens one. Any lock joins the one that is `named`. To be called right after the
    lock was put in force: an incident begins with that event.
    """
    ledger = "the ledger keeps every entry"
    row = _named(tx, named)
    joined: Joined = "named"
    if row is None and lock.mode in ENDS and lock.by != PLANE:
        joined, row = "widened", _widened(tx, catalogue, lock.target)
    elif row is None:
        return Receipt("preserve traces", "acknowledged", ledger, tx.now)
    if row is None:
        joined = "opened"
        joining = _joining(tx, catalogue, lock, reach, joined)
        incident = service.open_incident(tx, _new(lock, joining), joining)
    else:
        joining = _joining(tx, catalogue, lock, reach, joined)
        service.join(tx, row, joining)
        incident = row.incident
    missed = f"; {named} is not open" if named is not None and joined != "named" else ""
    did = "opened" if joined == "opened" else "joined"
    return Receipt(
        "preserve traces",
        "acknowledged",
        f"incident {did}: {words_of(joining.held)} held{missed}",
        tx.now,
        by=f"incident/{incident}",
    )


def join_by_word(
    tx: Transaction, catalogue: Catalogue, row: Row, lock: LockInForce, *, by: str, reason: str
) -> None:
    """Have a lock belong to an incident because a person says so; raise `Conflict`."""
    reach = reach_of(tx, catalogue, lock.target)
    joining = _joining(tx, catalogue, lock, reach, "named", by=by, reason=reason)
    service.join(tx, row, joining)


def held_by_lock(catalogue: Catalogue, target: LockTarget, reach: Reach) -> frozenset[Held]:
    """Return what nothing is purged of under a lock.

    Agents as a whole where it covers all that they do or have something to do with its target;
    else the runs that it covers, with those below them.
    """
    if target.kind == "everything":
        return frozenset({Held("everything", "*")})
    if target.kind == "approval":
        return frozenset({Held("request", target.name)})
    found = {Held("run", target.name)} if target.kind == "run" else set()
    agents: frozenset[str] = frozenset()
    if target.kind == "agent":
        agents = frozenset({target.name})
    elif target.kind == "team":
        agents = frozenset(
            name for name in catalogue.agents if catalogue.team_of(name) == target.name
        )
    elif target.kind == "runtime":
        found.add(Held("runtime", target.name))
    elif target.kind not in {"run", "version", "person"}:
        agents = reach.agents
    found |= {Held("agent", name) for name in agents}
    found |= {Held("run", row.run) for row in reach.runs if row.agent not in agents}
    return frozenset(found)


def words_of(held: frozenset[Held]) -> str:
    """Say what is held."""
    if any(one.kind == "everything" for one in held):
        return "anything"
    kinds = {kind: sum(one.kind == kind for one in held) for kind in ("agent", "run")}
    parts = [count(number, kind) for kind, number in kinds.items() if number]
    parts += [f"{one.kind} {one.name}" for one in sorted(held) if one.kind not in kinds]
    return " and ".join(parts) or "what it covers (nothing now)"


def team_of(tx: Transaction, catalogue: Catalogue, target: LockTarget) -> str:
    """Return the one team that a target belongs to; empty: none, or several."""
    if target.kind == "team":
        return target.name
    agent: str | None = None
    if target.kind in {"agent", "version"}:
        agent = target.name.partition("@")[0]
    if target.kind == "run":
        agent = agent_of_run(tx, target.name)
    return catalogue.team_of(agent) if agent else ""


def widens(tx: Transaction, catalogue: Catalogue, wider: LockTarget, target: LockTarget) -> bool:
    """Tell whether one target covers all of another, or is the same."""
    if wider == target or wider.kind == "everything":
        return True
    if wider.kind not in _BEYOND.get(target.kind, frozenset()):
        return False
    covered = _as_covered(tx, catalogue, target)
    return covered is not None and covers(wider, covered)


def _as_covered(tx: Transaction, catalogue: Catalogue, target: LockTarget) -> Covered | None:
    if target.kind == "run":
        row = find_run(tx, target.name)
        if row is None:
            return None
        return covered_run(
            catalogue, row.run, row.agent, row.version, row.on_behalf_of, read_lineage(row.lineage)
        )
    if target.kind == "tool":
        return covered_run(catalogue, "", "", None, None, tool=target.name)
    agent = target.name.partition("@")[0] if target.kind == "version" else target.name
    return covered_run(catalogue, "", agent, None, None)


def _named(tx: Transaction, named: str | None) -> Row | None:
    """Return the open incident that somebody named."""
    if named is None:
        return None
    try:
        row = service.find(tx, named)
    except NotFound:
        return None
    return row if row.state == "open" else None


def _widened(tx: Transaction, catalogue: Catalogue, target: LockTarget) -> Row | None:
    for row in _OPEN.all(tx):
        if widens(tx, catalogue, target, LockTarget(row.target_kind, row.target_name)):
            return service.find(tx, row.incident)
    return None


def _joining(
    tx: Transaction,
    catalogue: Catalogue,
    lock: LockInForce,
    reach: Reach,
    joined: Joined,
    *,
    by: str | None = None,
    reason: str = "",
) -> Joining:
    target = lock.target
    return Joining(
        lock=lock.lock,
        target=f"{target.kind}/{target.name}",
        joined=joined,
        by=by or lock.by,
        severity=rules.severity_of(target.kind),
        team=team_of(tx, catalogue, target),
        held=held_by_lock(catalogue, target, reach),
        reason=reason,
    )


def _new(lock: LockInForce, first: Joining) -> NewIncident:
    return NewIncident(
        title=f"{lock.target.words} {DID[lock.mode]}: {lock.reason}"[:_LONGEST_TITLE],
        severity=first.severity,
        owner=lock.by.removeprefix("person/"),
        team=first.team,
        by=lock.by,
    )
