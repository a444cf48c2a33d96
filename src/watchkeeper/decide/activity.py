"""What agents did, summed by five minutes; a batch of decisions adds to its sums once."""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import bindparam, delete

from watchkeeper.decide.tables import BUCKET_US, activity
from watchkeeper.store.retention import is_held
from watchkeeper.store.statement import Statement, insert
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import Verdict

_bump = insert(activity)
_BUMP = Statement(
    _bump.values(
        {
            "agent": bindparam("agent"),
            "bucket": bindparam("bucket"),
            "permitted": bindparam("permitted"),
            "denied": bindparam("denied"),
            "held": bindparam("held"),
            "spend_micros": bindparam("spend"),
            "last_at": bindparam("at"),
        }
    ).on_conflict_do_update(
        index_elements=["agent", "bucket"],
        set_={
            "permitted": activity.c.permitted + _bump.excluded.permitted,
            "denied": activity.c.denied + _bump.excluded.denied,
            "held": activity.c.held + _bump.excluded.held,
            "spend_micros": activity.c.spend_micros + _bump.excluded.spend_micros,
            "last_at": _bump.excluded.last_at,
        },
    )
)
_PURGE = Statement(
    delete(activity).where(
        activity.c.bucket < bindparam("before"), ~is_held(agent=activity.c.agent)
    )
)
_COUNTED_AS = {"permit": "permitted", "deny": "denied", "hold": "held"}


class Sums:
    """What agents did in a batch."""

    table: ClassVar[str] = activity.name

    def __init__(self) -> None:
        self._rows: dict[tuple[str, int], dict[str, str | int]] = {}

    def add(self, now: int, agent: str, counted_as: str, amount: int) -> None:
        """Add to one sum of the five minutes that it is in."""
        key = (agent, now // BUCKET_US)
        row = self._rows.get(key)
        if row is None:
            row = {"permitted": 0, "denied": 0, "held": 0, "spend": 0}
            row["agent"], row["bucket"] = key
            self._rows[key] = row
        row[counted_as] += amount  # type: ignore[operator]
        row["at"] = now

    def write(self, tx: Transaction) -> None:
        """Write all that was added."""
        _BUMP.run_many(tx, list(self._rows.values()))


def count_decision(tx: Transaction, agent: str, verdict: Verdict) -> None:
    """Count a decision on an action of an agent."""
    tx.deferred(Sums).add(tx.now, agent, _COUNTED_AS[verdict], 1)


def count_spend(tx: Transaction, agent: str, micros: int) -> None:
    """Count what an action of an agent cost, in micro-dollars."""
    tx.deferred(Sums).add(tx.now, agent, "spend", micros)


def purge_activity(tx: Transaction, before: int) -> int:
    """Delete the sums of five minutes that ended before a time, unless held; return how many."""
    tx.silent("sums that nothing shows any more; the decisions themselves stay")
    return _PURGE.run(tx, before=before // BUCKET_US)
