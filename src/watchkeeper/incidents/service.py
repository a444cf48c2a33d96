"""Opening incidents, joining locks to them, noting, closing and opening again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import bindparam, func, select, update

from watchkeeper.core.errors import Conflict, NotFound
from watchkeeper.incidents import rules
from watchkeeper.incidents.model import LEAD, Change, Joining, NewIncident
from watchkeeper.incidents.tables import incident_locks, incidents, is_open
from watchkeeper.store import retention
from watchkeeper.store.statement import Row, Statement, insert
from watchkeeper.store.transaction import Transaction

_LONGEST_WORDS = 1_000

_of, _locks = incidents.c, incident_locks.c
_ADD = Statement(incidents.insert())
_FIND = Statement(select(incidents).where(_of.incident == bindparam("incident_is")))
_SET = Statement(
    update(incidents)
    .where(_of.incident == bindparam("incident_is"))
    .values(
        title=bindparam("to_title"),
        severity=bindparam("to_severity"),
        owner=bindparam("to_owner"),
        team=bindparam("to_team"),
        notes=bindparam("to_notes"),
    )
)
_MOVE = Statement(
    update(incidents)
    .where(_of.incident == bindparam("incident_is"))
    .values(
        state=bindparam("to_state"),
        closed_at=bindparam("at"),
        closed_by=bindparam("who"),
        closed_why=bindparam("why"),
        last=bindparam("to_last"),
    )
)
_join = insert(incident_locks).values(
    {name: bindparam(name) for name in incident_locks.c.keys()}  # noqa: SIM118
)
_JOIN = Statement(
    _join.on_conflict_do_update(
        index_elements=["incident", "lock"],
        set_={
            name: _join.excluded[name] for name in ("joined", "joined_at", "joined_by", "left_at")
        },
    )
)
_LEAVE = Statement(
    update(incident_locks)
    .where(_locks.incident == bindparam("incident_is"), _locks.lock == bindparam("lock_is"))
    .values(left_at=bindparam("at"))
)
_LOCKS = Statement(
    select(incident_locks)
    .where(_locks.incident == bindparam("incident_is"))
    .order_by(_locks.sequence)
)
_OF_LOCK = Statement(
    select(_locks.incident).where(_locks.lock == bindparam("lock_is"), _locks.left_at.is_(None))
)


def open_incident(tx: Transaction, new: NewIncident, first: Joining) -> str:
    """Open an incident with the lock whose event was recorded just before; return its id."""
    incident = tx.new_id("inc")
    opened = tx.record(
        "incident.opened",
        actor=new.by,
        subject=f"incident/{incident}",
        body={
            "incident": incident,
            "lock": first.lock,
            "target": first.target,
            "title": new.title,
            "severity": new.severity,
            "owner": new.owner,
            "team": new.team,
            "held": len(first.held),
            "text": f"incident opened, {new.severity}: {new.title}"[:_LONGEST_WORDS],
        },
    )
    _ADD.run(
        tx,
        incident=incident,
        title=new.title,
        severity=new.severity,
        state="open",
        owner=new.owner,
        team=new.team,
        opened_at=tx.now,
        opened_by=new.by,
        closed_at=None,
        closed_by=None,
        closed_why=None,
        since=tx.now - LEAD,
        sequence=opened,
        first=opened - 1,
        last=None,
        notes=0,
    )
    _keep_lock(tx, incident, first, opened)
    return incident


def join(tx: Transaction, row: Row, joining: Joining) -> None:
    """Have a lock belong to an open incident; raise `Conflict` if it is closed or has it.

    The lock leaves the incident it belonged to; one that is left without any is closed.
    """
    rules.after(row.state, "join")
    was = incident_of(tx, joining.lock)
    if was == row.incident:
        raise Conflict(f"lock {joining.lock} belongs to it already", code="already_joined")
    severity = rules.graver(row.severity, joining.severity)
    team = row.team if row.team == joining.team else ""
    said = "widened to" if joining.joined == "widened" else "joined by the lock on"
    why = f": {joining.reason}" if joining.reason else ""
    sequence = tx.record(
        "incident.joined",
        actor=joining.by,
        subject=f"incident/{row.incident}",
        body={
            "incident": row.incident,
            "lock": joining.lock,
            "target": joining.target,
            "joined": joining.joined,
            "severity": severity,
            "was": was,
            "held": len(joining.held),
            "reason": joining.reason,
            "text": f"incident {row.title}: {said} {joining.target}{why}"[:_LONGEST_WORDS],
        },
    )
    _keep_lock(tx, row.incident, joining, sequence)
    _set(tx, row, severity=severity, team=team)
    if was is not None:
        _LEAVE.run(tx, incident_is=was, lock_is=joining.lock, at=tx.now)
        left = find(tx, was)
        if left.state == "open" and not locks_of(tx, was):
            close(tx, left, by=joining.by, reason=f"its lock belongs to {row.incident} now")


def note(tx: Transaction, row: Row, text: str, change: Change, *, by: str) -> int:
    """Keep what a person notes, with what it changes; return its event."""
    rules.after(row.state, "note")
    changed = {
        name: to
        for name, to in (
            ("severity", change.severity),
            ("title", change.title),
            ("owner", change.owner),
        )
        if to is not None and to != getattr(row, name)
    }
    _set(tx, row, notes=row.notes + 1, **changed)
    said = "".join(f"; {name} is {to} now" for name, to in changed.items())
    return tx.record(
        "incident.noted",
        actor=by,
        subject=f"incident/{row.incident}",
        body={
            "incident": row.incident,
            "note": text,
            **changed,
            "text": f"{by.removeprefix('person/')} notes: {text}"[:_LONGEST_WORDS] + said,
        },
    )


def close(
    tx: Transaction,
    row: Row,
    *,
    by: str,
    reason: str,
    report: Mapping[str, object] | None = None,
) -> None:
    """Close an open incident and let go of what it holds; `report` says which entry its report
    was made up to, and its digest. Raises `Conflict` if it is closed.
    """
    state = rules.after(row.state, "close")
    sequence = tx.record(
        "incident.closed",
        actor=by,
        subject=f"incident/{row.incident}",
        body={
            "incident": row.incident,
            "reason": reason,
            "report": report,
            "text": f"{by.removeprefix('person/')} closed incident {row.title}: {reason}"[
                :_LONGEST_WORDS
            ],
        },
    )
    _MOVE.run(
        tx, incident_is=row.incident, to_state=state, at=tx.now, who=by, why=reason,
        to_last=sequence,
    )  # fmt: skip
    retention.let_go(tx, row.incident)


def reopen(tx: Transaction, row: Row, *, by: str, reason: str) -> None:
    """Open a closed incident again and hold what is left of what it held; raise `Conflict`."""
    state = rules.after(row.state, "reopen")
    tx.record(
        "incident.reopened",
        actor=by,
        subject=f"incident/{row.incident}",
        body={
            "incident": row.incident,
            "reason": reason,
            "text": f"{by.removeprefix('person/')} opened incident {row.title} again: {reason}"[
                :_LONGEST_WORDS
            ],
        },
    )
    _MOVE.run(
        tx, incident_is=row.incident, to_state=state, at=None, who=None, why=None, to_last=None
    )
    retention.take_up(tx, row.incident)


def find(tx: Transaction, incident: str) -> Row:
    """Return an incident's row; raise `NotFound` if there is none."""
    row = _FIND.first(tx, incident_is=incident)
    if row is None:
        raise NotFound(
            f"there is no incident {incident!r:.80}",
            remedy="see `watchkeeper incidents list --all`",
        )
    return row


def team_of_incident(tx: Transaction, incident: str) -> str | None:
    """Return the team of an incident, None if there is none."""
    row = _FIND.first(tx, incident_is=incident)
    return None if row is None else str(row.team)


def list_incidents(
    tx: Transaction,
    *,
    state: str = "open",
    teams: Collection[str] | None = None,
    after: str | None = None,
    limit: int = 100,
) -> tuple[list[Row], int]:
    """Return incidents, newest first, and how many there are; `teams`: only those of these."""
    conditions = []
    if state == "open":
        conditions.append(is_open)
    elif state == "closed":
        conditions.append(~is_open)
    if teams is not None:
        conditions.append(_of.team.in_(sorted(teams)))
    total = tx.connection.execute(
        select(func.count()).select_from(incidents).where(*conditions)
    ).scalar_one()
    query = select(incidents).where(*conditions).order_by(_of.incident.desc()).limit(limit)
    if after is not None:
        query = query.where(_of.incident < after)
    return list(tx.connection.execute(query)), int(total)


def locks_of(tx: Transaction, incident: str, *, left: bool = False) -> list[Row]:
    """Return the locks of an incident in the order they joined; with `left`, those moved away
    too.
    """
    return [row for row in _LOCKS.all(tx, incident_is=incident) if left or row.left_at is None]


def incident_of(tx: Transaction, lock: str) -> str | None:
    """Return the incident that a lock belongs to, or None."""
    found: str | None = _OF_LOCK.scalar(tx, lock_is=lock)
    return found


def _keep_lock(tx: Transaction, incident: str, joining: Joining, sequence: int) -> None:
    _JOIN.run(
        tx,
        incident=incident,
        lock=joining.lock,
        joined=joining.joined,
        joined_at=tx.now,
        joined_by=joining.by,
        sequence=sequence,
        left_at=None,
    )
    retention.hold(tx, incident, joining.held, sequence)


def _set(tx: Transaction, row: Row, **changed: Any) -> None:
    names = ("title", "severity", "owner", "team", "notes")
    values = {f"to_{name}": changed.get(name, getattr(row, name)) for name in names}
    _SET.run(tx, incident_is=row.incident, **values)
