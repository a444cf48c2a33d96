"""How the body of an entry says what it commits to, and where that stood."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from watchkeeper.store.texts import is_digest

if TYPE_CHECKING:
    from watchkeeper.store.transaction import Transaction
    from watchkeeper.store.vault import Vault

PERSONAL = "personal"
"""The body's key: commitments by the ids of their values."""
may_hold = re.compile(r"[@\d]|[^\x00-\x7f]").search
"""Finds something in every text that personal data may be in."""
_COMMITS = f'"{PERSONAL}":{{'


class _Committing(msgspec.Struct):
    """A body of which all else is passed over."""

    personal: Any = None


_decode = msgspec.json.Decoder(_Committing).decode


def mark_of(value: str) -> str:
    """Return what stands in place of a value."""
    return f"[personal {value}]"


def commits(body: str) -> bool:
    """Tell whether a body may commit to anything: most do not, and a look says so."""
    return _COMMITS in body


def commitments_of(body: str) -> dict[str, str]:
    """Return the commitments of a body by the ids of their values; none of what is no body."""
    if not commits(body):
        return {}
    try:
        found = _decode(body).personal
    except msgspec.MsgspecError:
        return {}
    return found if isinstance(found, dict) else {}


class Marks:
    """What one entry commits to."""

    def __init__(self, vault: Vault, tx: Transaction, scope: str) -> None:
        self._vault = vault
        self._tx = tx
        self._scope = scope
        self.made: dict[str, str] = {}
        """Commitments by the ids of their values, as the entry's body names them."""

    def of(self, text: str, names: Iterable[str], *, fresh: bool = False) -> str:
        """Return the mark that stands for a whole text of some persons."""
        value, commitment = self._vault.commit(self._tx, text, names, self._scope, fresh=fresh)
        self.made[value] = commitment
        return mark_of(value)

    def within(self, value: Any, whose: str | None = None) -> Any:
        """Return a JSON value with marks in place of everything personal in its texts."""
        kind = type(value)
        if kind is str:
            return self._in_text(value, whose)
        if isinstance(value, Mapping):
            return {key if type(key) is not str else self._in_text(key, whose):
                    self.within(item, whose) for key, item in value.items()}  # fmt: skip
        if kind is list or kind is tuple:
            return [self.within(item, whose) for item in value]
        return value

    def _in_text(self, text: str, whose: str | None) -> str:
        if is_digest(text):
            known = self._vault.committed(self._tx, text, self._scope) if self._scope else None
            if known is None:
                return text
            self.made[known[0]] = known[1]
            return mark_of(known[0])
        if whose and whose in text:
            text = text.replace(whose, self.of(whose, (whose,)))
        if not may_hold(text):
            return text
        parts: list[str] = []
        end = 0
        for start, until in sorted(self._vault.find(text)):
            if start >= end:
                said = text[start:until]
                whose_it_is = self._vault.names_in(said) or (said,)
                parts += (text[end:start], self.of(said, whose_it_is))
                end = until
        return "".join((*parts, text[end:])) if parts else text
