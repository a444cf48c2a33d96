"""Which business objects a balance counts: each once, however often it is touched.

An object counts as posted from its first permit on. It is given back when every action on it
was voided.
"""

from __future__ import annotations

from sqlalchemy import bindparam, delete, literal_column, select, update

from watchkeeper.budgets import statements as sql
from watchkeeper.budgets.accounts import key_of
from watchkeeper.budgets.model import Account
from watchkeeper.budgets.tables import members
from watchkeeper.store.metadata import Whole
from watchkeeper.store.statement import Statement
from watchkeeper.store.transaction import Transaction

_ONE: sql.Measures = ("objects",)

_THIS_MEMBER = (
    members.c.scope == bindparam("scope_is"),
    members.c.period == bindparam("period_is"),
    members.c.period_key == bindparam("key_is"),
    members.c.object == bindparam("object_is"),
)
_FIND = Statement(select(members.c.uses).where(*_THIS_MEMBER))
_ADD = Statement(
    members.insert().values(
        scope=bindparam("scope_is"),
        period=bindparam("period_is"),
        period_key=bindparam("key_is"),
        object=bindparam("object_is"),
        uses=literal_column("1", Whole),
    )
)
_USE = Statement(
    update(members)
    .where(*_THIS_MEMBER)
    .values(uses=members.c.uses + bindparam("more", type_=Whole))
)
_DROP = Statement(delete(members).where(*_THIS_MEMBER, members.c.uses <= 0))


def is_known(tx: Transaction, account: Account, touches: str) -> bool:
    """Tell whether a balance counts a business object already."""
    return _FIND.first(tx, **key_of(account), object_is=touches) is not None


def touch(tx: Transaction, account: Account, touches: str) -> None:
    """Count an action on a business object; a new one must have been found room for."""
    key = key_of(account)
    if not _USE.run(tx, **key, object_is=touches, more=1):
        _ADD.run(tx, **key, object_is=touches)
        sql.correct_of(_ONE).run(tx, **key, amount_objects=1)


def leave(tx: Transaction, account: Account, touches: str) -> None:
    """Take back an action that was never performed, and the object with the last of them."""
    key = key_of(account)
    _USE.run(tx, **key, object_is=touches, more=-1)
    if _DROP.run(tx, **key, object_is=touches):
        sql.correct_of(_ONE).run(tx, **key, amount_objects=-1)
