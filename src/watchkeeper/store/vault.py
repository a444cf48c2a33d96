"""Personal data out of the ledger: entries commit to it, and what it was can be destroyed.

A text of an entry that is of a person stands there as `[personal val_…]`, and the entry's body
names under `personal` by that id the commitment to it: HMAC-SHA256 over the text with a salt of its
own. Salt and text are kept here, sealed with AES-256-GCM under a key of the person, which is itself
sealed under the vault's key. Without salt nothing known can be tried against an entry; without the
person's key neither is to be had again, and every hash of the ledger stands as it stood.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import bindparam, select

from watchkeeper.core import ids
from watchkeeper.core.errors import Unavailable
from watchkeeper.store.marks import PERSONAL, Marks, commitments_of, mark_of, may_hold
from watchkeeper.store.statement import Statement
from watchkeeper.store.texts import is_digest, texts_in
from watchkeeper.store.vault_key import KEY_BYTES, seal, unseal
from watchkeeper.store.vault_tables import data_subjects, vault_values

if TYPE_CHECKING:
    from watchkeeper.store.transaction import Transaction

State = Literal["kept", "erased", "not kept"]
Find = Callable[[str], Iterable[tuple[int, int]]]
SALT_BYTES = 32
_MOST_SUBJECTS = 8
_MOST_REMEMBERED = 4096
_KIND = re.compile(r"^[a-z_]+/")
_BEFORE_ADDRESS = re.compile(r"^(?:[^@]*[!#$%&*/=?^`{|}~])?['._+-]*(?=[^@]+@)")
"""What may be in a local part, and is a path, a query or a quotation before it."""
_WHOLE = frozenset({"on_behalf_of", "on_behalf_of_proof", "goal", "object", "summary"})
"""Fields that are a person's words or name as a whole, in an entry about what was done for one."""
_NAMES = frozenset(
    {"by", "owner", "people", "person", "from", "to", "told", "add", "remove", "approved_by",
     "decision", "kind", "name", "version", "rule", "policies", "traceparent", "lock", "epoch",
     "key", "signature", PERSONAL}
)  # fmt: skip
"""Fields that name those who work here and the plane's own things: they are meant to last."""

_SUBJECT = Statement(
    select(data_subjects.c.subject, data_subjects.c.sealed_key).where(
        data_subjects.c.name == bindparam("name_is")
    )
)
_ADD_SUBJECT = Statement(data_subjects.insert())
_ADD_VALUE = Statement(vault_values.insert())
_BY_HANDLE = Statement(
    select(vault_values.c.value, vault_values.c.sealed).where(
        vault_values.c.handle == bindparam("handle_is")
    )
)


class Opened(NamedTuple):
    """A value of the vault: its text and salt, where they are still there."""

    state: State
    text: str | None = None
    salt: bytes | None = None


NOT_KEPT = Opened("not kept")
ERASED = Opened("erased")


class _Holder(NamedTuple):
    subject: str
    cipher: AESGCM


def name_of(text: str) -> str:
    """Return how a person is called here: `user/Kim@example.com` is `kim@example.com`."""
    name = _KIND.sub("", text.strip().casefold())
    return _BEFORE_ADDRESS.sub("", name, count=1) if "@" in name else name


class Vault:
    """Commits to values, gives them back, and knows what is personal in a text.

    Until it is given the key that the store holds, what it keeps opens only as long as it lives;
    without one it commits all the same, and keeps nothing.
    """

    def __init__(self) -> None:
        self.find: Find = lambda text: ()
        """Where in a text personal data is; given by whoever can tell."""
        self._holders: dict[str, _Holder] = {}
        self._known: dict[tuple[str, str], tuple[str, str]] = {}
        self._texts: dict[str, str] = {}
        """Of values lately committed to, by their ids: most entries are read right away."""
        self.use(ids.random_bytes(KEY_BYTES))

    def use(self, key: bytes | None) -> None:
        """Seal and open with this key."""
        self._cipher = None if key is None else AESGCM(key)
        self._handles = hmac.digest(key or b"", b"watchkeeper/vault/handle/v1", "sha256")
        self.forget()

    def forget(self) -> None:
        """Remember nothing: something was erased, or the key is another."""
        self._holders.clear()
        self._known.clear()
        self._texts.clear()

    def marks(self, tx: Transaction, scope: str) -> Marks:
        """Return what an entry of a unit of work commits to; `scope` is its run or request."""
        return Marks(self, tx, scope)

    def names_in(self, text: str) -> list[str]:
        """Return every personal value in a text, or in one that is JSON, as the name of whose."""
        found: dict[str, None] = {}
        for said in texts_in(text):
            for start, end in self.find(said) if may_hold(said) else ():
                found[name_of(said[start:end])] = None
        return list(found)

    def screen(
        self, tx: Transaction, body: Mapping[str, Any], scope: str, whose: str | None
    ) -> Mapping[str, Any]:
        """Return a body with a commitment in place of everything personal in it.

        `whose`: on whose behalf it was done; what is theirs as a whole goes as a whole.
        """
        marks = Marks(self, tx, scope)
        shown: dict[str, Any] = {}
        done = {mark_of(value) for value in body.get(PERSONAL, ())}
        for name, value in body.items():
            if name in _NAMES or (done and type(value) is str and value in done):
                shown[name] = value
            elif whose and name in _WHOLE and isinstance(value, str) and value:
                shown[name] = marks.of(value, (whose,))
            else:
                shown[name] = marks.within(value, whose)
        if not marks.made:
            return body
        if shown.get("digest") != body.get("digest"):
            # what is signed or digested with it fits it alone, and tells it as surely
            for name, value in shown.items():
                if isinstance(value, str) and (name == "signature" or is_digest(value)):
                    shown[name] = marks.of(value, (scope,))
        shown[PERSONAL] = {**body.get(PERSONAL, {}), **marks.made}
        return shown

    def reveal(self, tx: Transaction, bodies: Sequence[str]) -> list[str]:
        """Return bodies of entries with what they commit to, as it was, in place of the marks.

        `[erased]` stands for what was destroyed. A mark that the body does not commit to is
        somebody's words, and stays.
        """
        named = [commitments_of(body) for body in bodies]
        wanted = {value for one in named for value in one}
        if not wanted:
            return list(bodies)
        texts = {value: text for value in wanted if (text := self._texts.get(value)) is not None}
        for value, one in self.open(tx, wanted - texts.keys()).items():
            texts[value] = one.text if one.text is not None else f"[{one.state}]"
        found = []
        for body, values in zip(bodies, named, strict=True):
            for value in values:
                text = texts[value]
                body = body.replace(mark_of(value), encode_basestring(text)[1:-1])  # noqa: PLW2901
            found.append(body)
        return found

    def open(self, tx: Transaction, values: Iterable[str]) -> dict[str, Opened]:
        """Return values by id; one that is not here at all was not kept."""
        wanted = list(dict.fromkeys(values))
        found = dict.fromkeys(wanted, NOT_KEPT)
        for start in range(0, len(wanted), 500):
            part = wanted[start : start + 500]
            rows = tx.connection.execute(
                select(vault_values).where(vault_values.c.value.in_(part))
            ).all()
            holders = self._holders_of(tx, [name for row in rows for name in owners_of(row)])
            found |= {row.value: _open(row, holders) for row in rows}
        return found

    def subject_of(self, tx: Transaction, name: str) -> str:
        """Return the id of a person, made the first time; raise `Unavailable` without a key."""
        holder = None if self._cipher is None else self._holder(tx, self._cipher, name_of(name))
        if holder is None:
            raise Unavailable("the vault's key is not to be had", remedy="see `watchkeeper doctor`")
        return holder.subject

    def seal(self, raw: bytes, bound: str) -> bytes | None:
        """Return bytes sealed with the vault's own key for one place; None without a key."""
        return None if self._cipher is None else seal(self._cipher, raw, bound)

    def unseal(self, sealed: bytes | None, bound: str) -> bytes | None:
        """Return what was sealed for that place; None where it does not open."""
        if sealed is None or self._cipher is None:
            return None
        try:
            return unseal(self._cipher, bytes(sealed), bound)
        except InvalidTag:
            return None

    def _holders_of(self, tx: Transaction, subjects: Iterable[str]) -> dict[str, AESGCM | None]:
        """Return the keys of persons; None: destroyed. One that does not open is not there."""
        table = data_subjects.c
        rows = tx.connection.execute(select(data_subjects).where(table.subject.in_(set(subjects))))
        found: dict[str, AESGCM | None] = {}
        for row in rows:
            cipher = self._unwrap(row.subject, row.sealed_key)
            if cipher is not None or row.erased_at is not None:
                found[row.subject] = cipher
        return found

    def _unwrap(self, subject: str, sealed: bytes | None) -> AESGCM | None:
        key = self.unseal(sealed, subject)
        return None if key is None else AESGCM(key)

    def _holder(self, tx: Transaction, cipher: AESGCM, name: str) -> _Holder | None:
        """Return whose key seals what is of a person, made the first time; None: it is lost."""
        known = self._holders.get(name)
        if known is not None:
            return known
        row = _SUBJECT.first(tx, name_is=name)
        if row is not None:
            own = self._unwrap(row.subject, row.sealed_key)
            if own is None:
                return None
            made = _Holder(row.subject, own)
        else:
            key = ids.random_bytes(KEY_BYTES)
            subject = tx.new_id("sub")
            sealed = seal(cipher, key, subject)
            _ADD_SUBJECT.run(
                tx, subject=subject, name=name, sealed_key=sealed, since=tx.now, erased_at=None
            )
            made = _Holder(subject, AESGCM(key))
        tx.after_commit(lambda: _remember(self._holders, name, made))
        return made

    def commit(
        self, tx: Transaction, text: str, names: Iterable[str], scope: str, *, fresh: bool = False
    ) -> tuple[str, str]:
        """Keep a text that is of some persons; return its id and the commitment to it.

        The same text in the same scope is kept once; `fresh` says that it is new there.
        """
        known = self._known.get((scope, text))
        if known is not None:
            return known
        handle = self._handle(scope, text)
        if not fresh:
            known = self._committed(tx, handle)
        made = known or self._keep(tx, text, dict.fromkeys(map(name_of, names)), scope, handle)
        tx.after_commit(lambda: _remember(self._known, (scope, text), made))
        if known is not None:
            tx.after_commit(lambda: _remember(self._texts, made[0], text))
        return made

    def _keep(
        self, tx: Transaction, text: str, names: Iterable[str], scope: str, handle: bytes
    ) -> tuple[str, str]:
        value, salt, raw = tx.new_id("val"), ids.random_bytes(SALT_BYTES), text.encode()
        made = value, hmac.digest(salt, raw, "sha256").hex()
        cipher = self._cipher
        if cipher is None:
            return made
        owners = [self._holder(tx, cipher, name) for name in names]
        held = [one for one in owners if one is not None]
        if len(held) == len(owners) <= _MOST_SUBJECTS:  # else it is kept for nobody
            sealed = salt + raw
            for owner in reversed(held):
                sealed = seal(owner.cipher, sealed, value)
            _ADD_VALUE.run(
                tx, value=value, subject=held[0].subject,
                also=" ".join(one.subject for one in held[1:]) or None, scope=scope,
                handle=handle, sealed=sealed, at=tx.now, erased_at=None,
            )  # fmt: skip
            tx.after_commit(lambda: _remember(self._texts, value, text))
        return made

    def committed(self, tx: Transaction, text: str, scope: str) -> tuple[str, str] | None:
        """Return id and commitment of a text that is kept in a scope already, or None."""
        known = self._known.get((scope, text))
        return known or self._committed(tx, self._handle(scope, text))

    def _committed(self, tx: Transaction, handle: bytes) -> tuple[str, str] | None:
        row = _BY_HANDLE.first(tx, handle_is=handle)
        one = self.open(tx, (row.value,))[row.value] if row is not None else NOT_KEPT
        if row is None or one.salt is None or one.text is None:
            return None
        return row.value, hmac.digest(one.salt, one.text.encode(), "sha256").hex()

    def _handle(self, scope: str, text: str) -> bytes:
        return hmac.digest(self._handles, f"{scope}\0{text}".encode(), "sha256")


def owners_of(row: Any) -> list[str]:
    """Return the ids of the persons whom a value is of."""
    return [row.subject, *(row.also or "").split()]


def _open(row: Any, holders: Mapping[str, AESGCM | None]) -> Opened:
    owners = owners_of(row)
    if row.erased_at is not None or None in (holders.get(owner, False) for owner in owners):
        return ERASED
    if row.sealed is None or not all(owner in holders for owner in owners):
        return NOT_KEPT
    raw = bytes(row.sealed)
    try:
        for owner in owners:
            cipher = holders[owner]
            assert cipher is not None
            raw = unseal(cipher, raw, row.value)
    except InvalidTag:
        return NOT_KEPT
    return Opened("kept", raw[SALT_BYTES:].decode(), raw[:SALT_BYTES])


def _remember(known: dict[Any, Any], key: Any, value: Any) -> None:
    if len(known) >= _MOST_REMEMBERED:
        known.clear()
    known[key] = value
