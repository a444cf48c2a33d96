"""An erasure on record: begun with the keys' end, and ended when nothing is left to be done."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from sqlalchemy import bindparam, select, update

from watchkeeper.decide.erasing.sought import Sought, parts
from watchkeeper.decide.erasing.tables import erasures, is_unfinished
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.store.vault_tables import data_subjects, vault_values

VALUES_AT_ONCE = 500
_of = erasures.c
_ADD = Statement(erasures.insert())
_UNFINISHED = Statement(select(erasures).where(is_unfinished).order_by(_of.erasure))
_ALL = Statement(select(erasures).order_by(_of.erasure.desc()))
_COUNT = Statement(
    update(erasures)
    .where(_of.erasure == bindparam("erasure_is"))
    .values(swept=_of.swept + bindparam("more"))
)
_END = Statement(
    update(erasures)
    .where(_of.erasure == bindparam("erasure_is"), is_unfinished)
    .values(plan=None, ended_at=bindparam("at"), ended=bindparam("sequence"))
)
_SWEPT = Statement(select(_of.swept).where(_of.erasure == bindparam("erasure_is")))


class Plan(NamedTuple):
    """What is to be done, and what is to be said of it once it is."""

    erasure: str
    sought: Sought
    subject: str
    actor: str
    reason: str
    told: dict[str, Any]
    """What the entries say of how much there was."""


def begin(
    tx: Transaction, sought: Sought, *, actor: str, reason: str, told: dict[str, Any]
) -> Plan:
    """Destroy the keys, and keep what is left to be done where a restart finds it."""
    erasure, subjects = tx.new_id("era"), sorted(sought.subjects)
    subject = subjects[0] if subjects else tx.new_id("sub")
    told = {"erasure": erasure, "subjects": subjects, **told, "reason": reason}
    sequence = tx.record(
        "subject.erasing",
        actor=actor,
        subject=f"subject/{subject}",
        body={**told, "text": f"the keys to data of {subject} were destroyed: {reason}"},
    )
    for part in parts(subjects):
        tx.connection.execute(
            update(data_subjects)
            .where(data_subjects.c.subject.in_(part))
            .values(name=None, sealed_key=None, erased_at=tx.now)
        )
    tx.vault.forget()  # those who write next in this batch, too
    tx.after_commit(tx.vault.forget)
    plan = {"sought": sought.packed(), "told": told, "reason": reason}
    _ADD.run(
        tx, erasure=erasure, subject=subject, actor=actor,
        plan=tx.vault.seal(json.dumps(plan).encode(), erasure), began_at=tx.now, began=sequence,
        swept=0, ended_at=None, ended=None,
    )  # fmt: skip
    return Plan(erasure, sought, subject, actor, reason, told)


def empty_values(tx: Transaction, plan: Plan) -> int:
    """Drop what is left of values without a key, up to a bound; return how many."""
    tx.silent("they were destroyed with their keys, which is on record")
    table = vault_values.c
    gone = {"sealed": None, "handle": None, "erased_at": tx.now}
    whose = [table.subject.in_(part) for part in parts(plan.sought.subjects)]
    for one in (*whose, *(table.also.contains(person) for person in plan.sought.people)):
        wanted = select(table.value).where(table.erased_at.is_(None), one).limit(VALUES_AT_ONCE)
        found = list(tx.connection.scalars(wanted))
        if found:
            tx.connection.execute(update(vault_values).where(table.value.in_(found)).values(gone))
            return len(found)
    return 0


def count_swept(tx: Transaction, plan: Plan, more: int) -> None:
    """Add to how many rows an erasure changed."""
    _COUNT.run(tx, erasure_is=plan.erasure, more=more)


def end(tx: Transaction, plan: Plan) -> int:
    """Put on record that nothing is left to be done; return the entry."""
    swept = _SWEPT.scalar(tx, erasure_is=plan.erasure)
    sequence = tx.record(
        "subject.erased",
        actor=plan.actor,
        subject=f"subject/{plan.subject}",
        body={
            **plan.told,
            "rows": swept,
            "text": f"data of {plan.subject} was erased: {plan.reason}",
        },
    )
    _END.run(tx, erasure_is=plan.erasure, at=tx.now, sequence=sequence)
    return sequence


def unfinished(tx: Transaction) -> list[Row]:
    """Return the erasures that began and have not ended, oldest first."""
    return _UNFINISHED.all(tx)


def list_erasures(tx: Transaction) -> list[Row]:
    """Return every erasure, newest first."""
    return _ALL.all(tx)


def plan_of(tx: Transaction, row: Row) -> Plan | None:
    """Return what is to be done of an erasure; None where the vault's key is not to be had."""
    opened = tx.vault.unseal(row.plan, row.erasure)
    if opened is None:
        return None
    plan = json.loads(opened)
    sought = Sought.unpacked(plan["sought"])
    return Plan(row.erasure, sought, row.subject, row.actor, plan["reason"], plan["told"])
