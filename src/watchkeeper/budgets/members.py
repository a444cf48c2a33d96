"""Which business objects a balance counts: each once, however often it is touched.

An object counts as posted from its first permit on. It is given back when every action on it
was voided.
"""

from __future__ import annotations

from watchkeeper.budgets import statements as sql
from watchkeeper.budgets.accounts import key_of
from watchkeeper.budgets.model import Account
from watchkeeper.store.transaction import Transaction

_ONE: sql.Measures = ("objects",)


def is_known(tx: Transaction, account: Account, touches: str) -> bool:
    """Tell whether a balance counts a business object already."""
    return sql.FIND_MEMBER.first(tx, **key_of(account), object_is=touches) is not None


def touch(tx: Transaction, account: Account, touches: str) -> None:
    """Count an action on a business object; a new one must have been found room for."""
    key = key_of(account)
    if not sql.USE_MEMBER.run(tx, **key, object_is=touches, more=1):
        sql.ADD_MEMBER.run(tx, **key, object_is=touches)
        sql.correct_of(_ONE).run(tx, **key, amount_objects=1)


def leave(tx: Transaction, account: Account, touches: str) -> None:
    """Take back an action that was never performed, and the object with the last of them."""
    key = key_of(account)
    sql.USE_MEMBER.run(tx, **key, object_is=touches, more=-1)
    if sql.DROP_MEMBER.run(tx, **key, object_is=touches):
        sql.correct_of(_ONE).run(tx, **key, amount_objects=-1)
