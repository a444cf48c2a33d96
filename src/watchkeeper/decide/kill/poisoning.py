"""Calls that a lock cut while they ran: nobody knows whether they took effect.

Until a person has said how such a call ended, its agent does not get it run again: not by the same
key, nor the same call without one; not in another run, and not after the lock was lifted either.
"""

from __future__ import annotations

from sqlalchemy import Column, Table, bindparam, select

from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.gates.kill import covered_run
from watchkeeper.decide.tables import decisions
from watchkeeper.identity.runs import find_run
from watchkeeper.kill.rules import covering
from watchkeeper.kill.service import locks_in_force
from watchkeeper.store.metadata import Key, Whole, metadata
from watchkeeper.store.statement import Row, Statement, insert
from watchkeeper.store.transaction import Transaction

poisoned = Table(
    "poisoned_calls",
    metadata,
    Column("agent", Key, primary_key=True),
    Column("call", Key, primary_key=True),
    Column("decision", Key, nullable=False),
    Column("at", Whole, nullable=False),
)
"""By the digest of tool and arguments, with its key (`key:DIGEST:KEY`) and without."""

_put = insert(poisoned)
_PUT = Statement(
    _put.values({name: bindparam(name) for name in poisoned.c.keys()}).on_conflict_do_update(  # noqa: SIM118
        index_elements=["agent", "call"],
        set_={"decision": _put.excluded.decision, "at": _put.excluded.at},
    )
)
_FIND = Statement(
    select(decisions)
    .join(poisoned, poisoned.c.decision == decisions.c.decision)
    .where(poisoned.c.agent == bindparam("agent_is"), poisoned.c.call == bindparam("call_is"))
)


def poison_if_cut(tx: Transaction, catalogue: Catalogue, row: Row, lock: str | None) -> None:
    """Have a call of unknown outcome that a lock ended never run again; `lock` cut it, if known.

    That of a plane which ended meanwhile is known by its run, or by a lock that covers it. What
    only reads does no harm again, and what the agent performs without a key is its own affair.
    """
    tool = catalogue.tools.get(row.name) if row.kind == "tool" else None
    keyed = row.idempotency_key is not None
    if row.kind != "tool" or not (keyed or row.performer == "plane"):
        return
    if not keyed and tool is not None and tool.contract.access != "write":
        return
    if lock is None and not _is_covered(tx, catalogue, row):
        return
    if row.call_digest is None:  # from before calls had digests: it is the same as no other
        return
    for name in {_name(row.idempotency_key, row.call_digest), row.call_digest}:
        _PUT.run(tx, agent=row.agent, call=name, decision=row.decision, at=tx.now)


def _name(key: str | None, digest: str) -> str:
    # two runs may use one key for different calls
    return digest if key is None else f"key:{digest}:{key}"


def _is_covered(tx: Transaction, catalogue: Catalogue, row: Row) -> bool:
    run = find_run(tx, row.run)
    if run is not None and run.state == "stopped":
        return True
    covered = covered_run(catalogue, row.run, row.agent, row.version, None, tool=row.name)
    return covering(locks_in_force(tx), covered) is not None


def find_poisoned(tx: Transaction, agent: str, key: str | None, digest: str) -> Row | None:
    """Return the decision of a call that was cut and that this one is again; None: it may run.

    A person's word that it came to nothing sets it free, and that it took effect all that has not
    its key.
    """
    row = _FIND.first(tx, agent_is=agent, call_is=_name(key, digest))
    if row is None or row.outcome == "failed" or (key is None and row.outcome == "succeeded"):
        return None
    return row
