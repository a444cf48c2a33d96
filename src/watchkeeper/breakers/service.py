"""Breakers as they stand in the store; every change with its event."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import bindparam, delete, func, literal_column, select, update

from watchkeeper.breakers import rules
from watchkeeper.breakers.model import Alarm, Standing, breaker_id
from watchkeeper.breakers.tables import breakers
from watchkeeper.core.clock import MICROSECONDS, utc_text
from watchkeeper.core.errors import Conflict, NotFound
from watchkeeper.store import timers
from watchkeeper.store.journal import events
from watchkeeper.store.statement import Row, Statement, insert
from watchkeeper.store.timers import Handler
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.breakers import BreakerState

PROBE = "breaker-probe"
"""The timer of a probe that is under way."""
_DAY = 86_400 * MICROSECONDS
_COLUMNS = tuple(column.name for column in breakers.columns)

_put = insert(breakers).values({name: bindparam(name) for name in _COLUMNS})
_PUT = Statement(
    _put.on_conflict_do_update(
        index_elements=["breaker"],
        set_={name: _put.excluded[name] for name in _COLUMNS[1:]},
    )
)
_FIND = Statement(select(breakers).where(breakers.c.breaker == bindparam("breaker_is")))
_NOT_CLOSED = Statement(
    select(breakers)
    .where(breakers.c.agent == bindparam("agent_is"), breakers.c.state != "closed")
    .order_by(breakers.c.breaker)
)
_ALL = Statement(select(breakers).order_by(breakers.c.breaker))
_CLAIM = Statement(
    update(breakers)
    .where(
        breakers.c.breaker == bindparam("breaker_is"),
        breakers.c.state == literal_column("'open'"),
        breakers.c.since == bindparam("since_is"),
    )
    .values(state="half-open", probe=bindparam("decision"))
)
_REFUSED = Statement(
    update(breakers)
    .where(breakers.c.breaker == bindparam("breaker_is"))
    .values(refused=breakers.c.refused + 1)
)
_FORGET = Statement(delete(breakers).where(breakers.c.breaker == bindparam("breaker_is")))
_TRIPS = Statement(
    select(func.count())
    .select_from(events)
    .where(
        events.c.subject == bindparam("subject_is"),
        events.c.type == literal_column("'breaker.opened'"),
        events.c.at > bindparam("since"),
    )
)


def not_closed(tx: Transaction, agent: str) -> tuple[Standing, ...]:
    """Return the breakers of an agent that are open or half-open."""
    return tuple(_as_standing(row) for row in _NOT_CLOSED.all(tx, agent_is=agent))


def read_all(tx: Transaction) -> dict[str, Standing]:
    """Return every breaker that ever tripped, by id."""
    return {row.breaker: _as_standing(row) for row in _ALL.all(tx)}


def find(tx: Transaction, breaker: str) -> Standing | None:
    """Return a breaker that ever tripped, or None."""
    row = _FIND.first(tx, breaker_is=breaker)
    return _as_standing(row) if row is not None else None


def trips_of_a_day(tx: Transaction, breaker: str) -> int:
    """Return how often a breaker tripped within the last day."""
    return int(_TRIPS.scalar(tx, subject_is=f"breaker/{breaker}", since=tx.now - _DAY))


def trip(
    tx: Transaction,
    document: str,
    agent: str,
    version: int,
    alarm: Alarm,
    *,
    does: str,
    cool_down_seconds: int,
    reset: str,
) -> Standing | None:
    """Open a breaker; None if it is open already. From this commit on it refuses."""
    breaker = breaker_id(document, agent)
    was = find(tx, breaker) or Standing(breaker, document, agent, version, "closed")
    now = rules.trip(was, alarm, version=version, at=tx.now)
    if now is None:
        return None
    _put_standing(tx, now)
    probes = rules.probes_at(now, cool_down_seconds=cool_down_seconds, reset=reset)
    until = "a person resets it"
    if probes is not None:
        until = f"one call may pass as a probe from {utc_text(probes)} on"
    verb = "paused" if does == "pause" else "slowed down"
    _record(
        tx,
        "breaker.opened",
        now,
        actor="plane",
        detector=alarm.detector,
        reason=alarm.reason,
        does=does,
        probes_at=probes,
        text=f"breaker {document} tripped ({alarm.detector}) and {verb} {agent}: "
        f"{alarm.reason}; {until}",
    )
    return now


def claim_probe(tx: Transaction, seen: Standing, decision: str) -> None:
    """Let a permitted decision be the probe; raise `Conflict` if another is.

    The breaker must stand as the gate saw it in this unit of work.
    """
    now = rules.claim(seen, decision)
    if now is None or not _CLAIM.run(
        tx, breaker_is=seen.breaker, since_is=seen.since, decision=decision
    ):
        raise Conflict(
            f"another call is the probe of breaker {seen.breaker} just now", code="probe_taken"
        )
    due_at = tx.now + rules.PROBE_SECONDS * MICROSECONDS
    timers.schedule(tx, PROBE, f"{seen.breaker} {decision}", due_at)
    _record(
        tx,
        "breaker.probing",
        now,
        actor="plane",
        decision=decision,
        text=f"one call of {seen.agent} passes as a probe of breaker {seen.document}",
    )


def end_probe(
    tx: Transaction, breaker: str, decision: str, *, well: bool, why: str, cool_down_seconds: int
) -> Standing | None:
    """Close a breaker after its probe, or open it again; None if this is not its probe."""
    was = find(tx, breaker)
    now = was and rules.end_probe(was, decision, well=well, at=tx.now)
    if now is None:
        return None
    _put_standing(tx, now)
    timers.cancel(tx, PROBE, f"{breaker} {decision}")
    if well:
        text = f"breaker {now.document} of {now.agent} is closed: the probe went well"
        _record(tx, "breaker.closed", now, actor="plane", reason=why, decision=decision, text=text)
        return now
    again = utc_text(tx.now + cool_down_seconds * MICROSECONDS)
    _reopen(tx, now, decision, why, f"the probe {why}; the next may pass from {again} on")
    return now


def lose_probe(tx: Transaction, breaker: str, decision: str, why: str) -> None:
    """Give a probe up of which nothing was heard; the next call may be another."""
    was = find(tx, breaker)
    now = was and rules.lose_probe(was, decision)
    if now is None:
        tx.silent("the probe had ended")
        return
    _put_standing(tx, now)
    timers.cancel(tx, PROBE, f"{breaker} {decision}")
    _reopen(tx, now, decision, why, f"{why}; the next call may be another probe")


def _reopen(tx: Transaction, now: Standing, decision: str, why: str, words: str) -> None:
    text = f"breaker {now.document} of {now.agent} stays open: {words}"
    _record(tx, "breaker.reopened", now, actor="plane", reason=why, decision=decision, text=text)


def reset(tx: Transaction, breaker: str, *, by: str, reason: str) -> Standing:
    """Close a breaker by hand; raise `NotFound`, or `Conflict` if it is closed."""
    was = find(tx, breaker)
    if was is None:
        raise NotFound(
            f"breaker {breaker!r:.120} never tripped", remedy="see `watchkeeper breakers list`"
        )
    now = rules.close(was)
    if now is None:
        raise Conflict(
            f"breaker {breaker} is closed", code="breaker_closed", remedy="nothing to do"
        )
    _put_standing(tx, now)
    if was.probe is not None:
        timers.cancel(tx, PROBE, f"{breaker} {was.probe}")
    text = f"{by.removeprefix('person/')} closed breaker {was.document} of {was.agent}: {reason}"
    _record(tx, "breaker.reset", now, actor=by, reason=reason, text=text[:1000])
    return now


def close_outdated(tx: Transaction, is_in_force: Callable[[Standing], bool]) -> None:
    """Close and forget the breakers whose document is over their agent no more."""
    for breaker, was in read_all(tx).items():
        if is_in_force(was):
            continue
        now = rules.close(was)
        _FORGET.run(tx, breaker_is=breaker)
        if now is None:
            continue
        if was.probe is not None:
            timers.cancel(tx, PROBE, f"{breaker} {was.probe}")
        why = f"no document in force puts breaker {was.document} over {was.agent} any more"
        _record(tx, "breaker.closed", now, actor="plane", reason=why, text=why)


def count_refused(tx: Transaction, breaker: str) -> None:
    """Count a call that an open breaker refused; its decision is the event."""
    _REFUSED.run(tx, breaker_is=breaker)


def _release(tx: Transaction, ref: str, due_at: int) -> None:
    breaker, _, decision = ref.partition(" ")
    why = f"nothing was heard of the probe for {rules.PROBE_SECONDS // 60} min"
    lose_probe(tx, breaker, decision, why)


HANDLERS: dict[str, Handler] = {PROBE: _release}


def _record(tx: Transaction, type_: str, standing: Standing, *, actor: str, **body: object) -> None:
    tx.record(
        type_,
        actor=actor,
        subject=f"breaker/{standing.breaker}",
        agent=standing.agent,
        run=standing.run,
        body={
            "breaker": standing.breaker,
            "document": standing.document,
            "version": standing.version,
            **body,
        },
    )


def _put_standing(tx: Transaction, now: Standing) -> None:
    _PUT.run(tx, **{name: getattr(now, name) for name in _COLUMNS})


def _as_standing(row: Row) -> Standing:
    state: BreakerState = row.state
    return Standing(
        row.breaker,
        row.document,
        row.agent,
        row.version,
        state,
        row.detector,
        row.reason,
        row.run,
        row.about,
        row.opened_at,
        row.since,
        row.probe,
        row.refused,
        row.trips,
    )
