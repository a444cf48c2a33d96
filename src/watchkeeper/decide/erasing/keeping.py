"""How long the vault keeps what entries commit to."""

from __future__ import annotations

import asyncio

from sqlalchemy import and_, bindparam, delete, literal, or_, select

from watchkeeper.approvals.model import OPEN
from watchkeeper.approvals.tables import requests
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.ids import first_at
from watchkeeper.decide.erasing.holds import extend
from watchkeeper.identity.tables import runs
from watchkeeper.store.retention import is_held, retention_holds
from watchkeeper.store.statement import Statement
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.store.vault_tables import data_subjects, vault_values

AT_ONCE = 500
_PAUSE_SECONDS = 0.01
_DAY_US = 86_400 * MICROSECONDS
_v = vault_values.c
_agent = select(runs.c.agent).where(runs.c.run == _v.scope).correlate(vault_values)
_one = literal(1)
_is_open = or_(*(requests.c.state == one for one in sorted(OPEN)))
_is_needed = or_(
    select(_one).where(runs.c.run == _v.scope, runs.c.state == "open").exists(),
    select(_one).where(requests.c.request == _v.scope, _is_open).exists(),
    select(_one).where(requests.c.run == _v.scope, _is_open).exists(),
)
_is_held_for_another = and_(
    _v.also.is_not(None),
    select(_one)
    .where(
        retention_holds.c.kind == "subject",
        retention_holds.c.let_go_at.is_(None),
        _v.also.contains(retention_holds.c.name),
    )
    .exists(),
)
_wanted = (
    select(_v.value)
    .where(
        _v.value < bindparam("until"),
        ~_is_needed,
        ~is_held(
            run=_v.scope, request=_v.scope, subject=_v.subject, agent=_agent.scalar_subquery()
        ),
        ~_is_held_for_another,
    )
    .order_by(_v.value)
    .limit(AT_ONCE)
)
_PURGE = Statement(delete(vault_values).where(_v.value.in_(_wanted)))
_s = data_subjects.c
_PURGE_SUBJECTS = Statement(
    delete(data_subjects).where(
        _s.subject < bindparam("until"),
        _s.erased_at.is_(None),
        ~select(_one).where(_v.subject == _s.subject).exists(),
        ~is_held(subject=_s.subject),
    )
)


async def purge_vault(store: Store, days: int) -> None:
    """Drop what entries commit to since more than so many days, unless it is needed or held."""
    await store.write(extend)
    gone = AT_ONCE
    while gone == AT_ONCE:
        gone = await store.write(lambda tx: purge_values(tx, days))
        await asyncio.sleep(_PAUSE_SECONDS)


def purge_values(tx: Transaction, days: int) -> int:
    """Drop values of before so many days, up to a bound, and who has none left; return how many.

    Readers of the entries see `[not kept]`.
    """
    tx.silent("nothing was kept for so long")
    before = tx.now - days * _DAY_US
    gone = _PURGE.run(tx, until=first_at("val", before))
    if gone < AT_ONCE:
        _PURGE_SUBJECTS.run(tx, until=first_at("sub", before))
    if gone:
        tx.record(
            "vault.purged",
            actor="plane",
            subject="vault",
            body={
                "values": gone,
                "days": days,
                "text": f"{gone:,} personal values of more than {days:,} days ago were dropped",
            },
        )
        tx.after_commit(tx.vault.forget)
    return gone
