"""Stages of policy sets: observe, then warn, then enforce."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, select

from watchkeeper.core.digest import digest
from watchkeeper.core.errors import Conflict
from watchkeeper.policy.tables import policy_stages
from watchkeeper.store.statement import Statement, insert
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.policy import Stage

SETS = "watchkeeper/policies/v1"
_ALL = Statement(select(policy_stages))
_put = insert(policy_stages)
_PUT = Statement(
    _put.values(
        {
            "name": bindparam("name"),
            "stage": bindparam("stage"),
            "since": bindparam("since"),
            "set_by": bindparam("set_by"),
        }
    ).on_conflict_do_update(
        index_elements=["name"],
        set_={
            "stage": _put.excluded.stage,
            "since": _put.excluded.since,
            "set_by": _put.excluded.set_by,
        },
    )
)
_FORGET = Statement(delete(policy_stages).where(policy_stages.c.name == bindparam("name_is")))


def sets_digest(sets: Iterable[tuple[str, str, Stage]]) -> str:
    """Return the digest of sets in force: of each its name, its document's digest and its stage."""
    return digest(SETS, sorted(sets))


@dataclass(frozen=True, slots=True)
class Staged:
    """The stage that a set was put in, when and by whom."""

    stage: Stage
    since: int
    by: str


def read_stages(tx: Transaction) -> dict[str, Staged]:
    """Return the stage of every set that was ever moved; the others are enforced."""
    return {row.name: Staged(row.stage, row.since, row.set_by) for row in _ALL.all(tx)}


def set_stage(
    tx: Transaction, name: str, stage: Stage, *, seen: Stage, actor: str, reason: str
) -> None:
    """Move a set to another stage; raise `Conflict` if it is not in the stage that was seen."""
    known = read_stages(tx).get(name)
    now = known.stage if known else "enforce"
    if now != seen:
        raise Conflict(
            f"policy set {name!r} is in stage {now}, not {seen}",
            code="stage_changed",
            remedy="look at it again before you move it",
        )
    if now == stage:
        tx.silent("the set is in that stage already")
        return
    _PUT.run(tx, name=name, stage=stage, since=tx.now, set_by=actor)
    tx.record(
        "policy.staged",
        actor=actor,
        subject=f"policy/{name}",
        body={"from": now, "to": stage, "reason": reason},
    )


def forget_stage(tx: Transaction, name: str) -> None:
    """Forget the stage of a set that is gone: a new one of its name is enforced."""
    _FORGET.run(tx, name_is=name)
    tx.silent("that the set is gone is on record")
