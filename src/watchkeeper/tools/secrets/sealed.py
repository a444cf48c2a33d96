"""The sealed store as the plane uses it: keys found, values opened when needed, uses noted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from cryptography.exceptions import InvalidTag

from watchkeeper.core import ids
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Conflict, Unavailable, WatchkeeperError
from watchkeeper.store import vault_key
from watchkeeper.store.store import Store
from watchkeeper.tools.secrets import service
from watchkeeper.tools.secrets.keys import KeySource
from watchkeeper.tools.secrets.model import Sealed, SealingKey
from watchkeeper.tools.secrets.rules import KEY_PREFIX, check_value, key_of, unseal

T = TypeVar("T")
_KEPT_US = 60 * MICROSECONDS
"""How long an opened value is kept where no event says that it changed."""
_TRIES = 3


class SealedStore:
    """Puts, opens and rotates; a value is in memory only, opened when it is first used."""

    def __init__(self, store: Store, keys: KeySource) -> None:
        self._store = store
        self._source = keys
        self._keys: tuple[SealingKey, ...] = ()
        self._opened: dict[str, tuple[str, int]] = {}
        self._used: dict[str, int] = {}
        self._turn = asyncio.Lock()

    async def load(self) -> None:
        """Finish what a rotation left when the plane ended in it; no error keeps the plane down."""
        try:
            keys = await self._read_keys()
            in_use = await self._store.read(service.key_in_use)
            rows = await self._store.read(service.list_sealed)
            by = await self._store.read(vault_key.sealed_with)
        except WatchkeeperError:
            return  # whoever needs a secret is told, and so is whoever looks at the plane
        newest = keys[0].id if keys else None
        sealed_by = {row.key for row in rows} | ({by} if by else set())
        if len(keys) > 1 and in_use == newest and sealed_by <= {newest}:
            try:
                await asyncio.to_thread(self._source.write, keys[:1])
            except WatchkeeperError:
                return
            self._keys = keys[:1]

    async def open_vault(self) -> None:
        """Give the store's vault its key, the first time a new one; raise `Unavailable`."""
        kept = self._store.vault
        by = await self._store.read(vault_key.sealed_with)
        keys = await self._read_keys()
        key = await self._current_key() if by is None else next(
            (one for one in keys if one.id == by), None
        )  # fmt: skip
        if key is None:
            raise Unavailable(
                f"personal data is sealed with key {by}; the {self._source.where} lacks it",
                code="sealing_key_missing",
                remedy="restore that key there, and start the plane again",
            )
        try:
            kept.use(
                await self._store.write(lambda tx: vault_key.make_key(tx, key.id, key.material))
            )
        except InvalidTag:
            raise Unavailable(
                "the vault's key does not open: the store's copy was changed",
                code="vault_key_changed",
            ) from None

    async def read(self, name: str) -> str:
        """Return a secret's value.

        Raises `Unavailable`: no such secret, no key for it, or a changed row; never a value.
        """
        now = self._store.clock.now()
        opened = self._opened.get(name)
        if opened is None or now - opened[1] > _KEPT_US:
            row = await self._store.read(lambda tx: service.read_sealed(tx, name))
            if row is None:
                raise Unavailable(
                    f"no secret {name!r} is sealed in this plane",
                    code="credential_missing",
                    remedy=f"watchkeeper secrets put {name}",
                )
            key = await self._key_for(row)
            opened = self._opened[name] = (unseal(key, row), now)
        self._used[name] = now
        return opened[0]

    async def _key_for(self, row: Sealed) -> SealingKey:
        for keys in (self._keys, await self._read_keys()):
            for key in keys:
                if key.id == row.key:
                    return key
        have = ", ".join(key.id for key in self._keys) or "none"
        raise Unavailable(
            f"the secret {row.name!r} was sealed with key {row.key}; "
            f"the {self._source.where} has {have}",
            code="sealing_key_missing",
            remedy="restore that key there, or put the secret again after removing it",
        )

    async def put(self, name: str, value: str, *, actor: str) -> Sealed:
        """Seal a value as the next version of a secret; raises as :func:`service.put`."""
        value = check_value(value)

        async def attempt() -> Sealed:
            key = await self._current_key()
            return await self._store.write(
                lambda tx: service.put(tx, key, name, value, actor=actor)
            )

        async with self._turn:
            sealed = await self._again(attempt)
        self._opened.pop(name, None)
        return sealed

    async def remove(self, name: str, *, actor: str) -> None:
        """Forget a secret's value; raises `NotFound` if there is none."""
        await self._store.write(lambda tx: service.remove(tx, name, actor=actor))
        self._opened.pop(name, None)

    async def list(self) -> list[Sealed]:
        """Return every secret as it is stored, with when it was used last."""
        return await self._store.read(service.list_sealed)

    async def rotate_key(self, *, actor: str) -> tuple[str, int]:
        """Seal everything with a new key; return its id and how many secrets there are.

        The new key is kept beside the old ones before anything is sealed with it, and the old
        ones until everything is: a plane that ends at any point in between opens every secret.
        """
        async with self._turn:
            keys = await self._read_keys()
            in_use = await self._store.read(service.key_in_use)
            if keys and in_use is not None and keys[0].id != in_use:
                new = keys[0]  # put there by a person, or by a rotation that did not finish
            else:
                by = await self._store.read(vault_key.sealed_with)
                needed = {row.key for row in await self.list()} | {in_use, by}
                new = key_of(ids.secret(KEY_PREFIX))
                keys = (new, *(key for key in keys if key.id in needed))
                await asyncio.to_thread(self._source.write, keys)
            by_id = {key.id: key for key in keys}
            self._keys = keys
            count = await self._store.write(lambda tx: service.reseal(tx, by_id, new, actor=actor))
            try:
                await asyncio.to_thread(self._source.write, (new,))
                self._keys = (new,)
            except Conflict:
                pass  # a person takes the old key away
        return new.id, count

    def forget(self, names: Iterable[str]) -> None:
        """Open these anew when they are used next: they have changed."""
        for name in names:
            self._opened.pop(name, None)

    async def note_uses(self) -> None:
        """Write down which secrets were used since the last time."""
        used, self._used = self._used, {}
        if used:
            await self._store.write(lambda tx: service.note_uses(tx, used))

    async def trouble(self, name: str) -> WatchkeeperError | None:
        """Return why a secret cannot be had, or None."""
        try:
            row = await self._store.read(lambda tx: service.read_sealed(tx, name))
            if row is not None:
                unseal(await self._key_for(row), row)
                return None
            await self.read(name)
        except WatchkeeperError as error:
            return error
        return None

    async def _current_key(self) -> SealingKey:
        """Return the key that seals; make the first one. Raises `Unavailable`."""
        in_use = await self._store.read(service.key_in_use)
        for keys in (self._keys, await self._read_keys()):
            for key in keys:
                if in_use in (None, key.id):
                    return key
        if in_use is not None:
            raise Unavailable(
                f"the store is sealed with key {in_use}, which the {self._source.where} lacks",
                code="sealing_key_missing",
                remedy="restore that key there; without it nothing sealed can be opened or added",
            )
        first = key_of(ids.secret(KEY_PREFIX))
        try:
            await asyncio.to_thread(self._source.write, (first,))
        except Conflict as error:
            raise Unavailable(
                f"there is no sealing key in the {self._source.where}",
                code="sealing_key_missing",
                remedy="make one with `openssl rand -base64 32`, set it and start the plane again",
            ) from error
        self._keys = (first,)
        return first

    async def _read_keys(self) -> tuple[SealingKey, ...]:
        self._keys = await asyncio.to_thread(self._source.read)
        return self._keys

    async def _again(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try again where another plane changed the key in between."""
        for _ in range(_TRIES - 1):
            try:
                return await attempt()
            except Conflict:
                self._keys = ()
        return await attempt()
