"""The plane's own signature: Ed25519 keys (RFC 8037), published, rotated with overlap.

The private half stays in a file of the state directory that only its owner can read; the public
half is in the store, so that every plane publishes the keys of all.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import bindparam, or_, select, update

from watchkeeper.core import base64url, ids
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.digest import canonical, parse
from watchkeeper.core.errors import Invalid, Unavailable
from watchkeeper.core.places import make_private
from watchkeeper.identity.tables import signing_keys
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

LONGEST_SECONDS = 3600
"""How long anything that is signed may be valid."""
OVERLAP_SECONDS = LONGEST_SECONDS + 60
"""How long a retired key is published: as long as anything it signed may be valid."""
ALGORITHM = "EdDSA"

_ADD = Statement(signing_keys.insert())
_CURRENT = Statement(
    select(signing_keys)
    .where(signing_keys.c.plane == bindparam("plane_is"), signing_keys.c.retired_at.is_(None))
    .order_by(signing_keys.c.created_at.desc())
)
_PUBLISHED = Statement(
    select(signing_keys)
    .where(
        or_(
            signing_keys.c.published_until.is_(None),
            signing_keys.c.published_until > bindparam("now"),
        )
    )
    .order_by(signing_keys.c.created_at.desc())
    .limit(50)
)
_RETIRE = Statement(
    update(signing_keys)
    .where(signing_keys.c.plane == bindparam("plane_is"), signing_keys.c.retired_at.is_(None))
    .values(retired_at=bindparam("at"), published_until=bindparam("until"))
)


@dataclass(frozen=True, slots=True)
class Ready:
    """The key that signs now."""

    kid: str
    private: Any


class SigningKeys:
    """Signs with the plane's newest key; the first is made when something is first signed."""

    def __init__(self, store: Store, directory: Path, plane: str) -> None:
        self._store = store
        self._directory = directory
        self._plane = plane
        self._ready: Ready | None = None
        self._turn = asyncio.Lock()

    async def sign(self, claims: Mapping[str, Any], *, seconds: int) -> str:
        """Return claims as a JWT that is valid for so many seconds, with `iat`, `exp`, `jti`."""
        if not 0 < seconds <= LONGEST_SECONDS:
            raise Invalid(f"a token is valid for 1 to {LONGEST_SECONDS} seconds")
        ready = await self.ready()
        now = self._store.clock.now() // MICROSECONDS
        whole = {**claims, "iat": now, "nbf": now, "exp": now + seconds}
        whole.setdefault("jti", ids.secret("jti"))
        header = {"alg": ALGORITHM, "kid": ready.kid, "typ": "JWT"}
        signed = ".".join(base64url.encode(canonical(part)) for part in (header, whole))
        return f"{signed}.{base64url.encode(ready.private.sign(signed.encode()))}"

    async def ready(self) -> Ready:
        """Return the key that signs now; the first is made."""
        return self._ready or await self._load()

    async def rotate(self, *, actor: str, reason: str) -> str:
        """Sign with a new key from now on; return its id. The old one is published on."""
        async with self._turn:
            return (await self._make(actor, reason)).kid

    async def _load(self) -> Ready:
        async with self._turn:
            if self._ready is not None:
                return self._ready
            rows = await self._store.read(lambda tx: _CURRENT.all(tx, plane_is=self._plane))
            for row in rows:
                private = await asyncio.to_thread(self._read, row.key)
                if private is not None:
                    self._ready = Ready(row.key, private)
                    return self._ready
            return await self._make("plane", "there was none")

    async def _make(self, actor: str, reason: str) -> Ready:
        kid, jwk, private = await asyncio.to_thread(self._generate)

        def unit(tx: Transaction) -> None:
            until = tx.now + OVERLAP_SECONDS * MICROSECONDS
            _RETIRE.run(tx, plane_is=self._plane, at=tx.now, until=until)
            _ADD.run(
                tx,
                key=kid,
                plane=self._plane,
                jwk=canonical(jwk).decode(),
                created_at=tx.now,
                retired_at=None,
                published_until=None,
            )
            tx.record(
                "plane.key_rotated",
                actor=actor,
                subject=f"plane/{self._plane}",
                body={"key": kid, "reason": reason},
            )

        # the private half is on the disk before anybody can learn of the public one
        await self._store.write(unit)
        self._ready = Ready(kid, private)
        return self._ready

    def _generate(self) -> tuple[str, dict[str, Any], Any]:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from joserfc.jwk import import_key

        private = Ed25519PrivateKey.generate()
        public = private.public_key().public_bytes_raw()
        jwk = {"crv": "Ed25519", "kty": "OKP", "x": base64url.encode(public)}
        kid = import_key({**jwk}).thumbprint()
        self._write(kid, private.private_bytes_raw())
        return kid, {**jwk, "kid": kid, "alg": ALGORITHM, "use": "sig"}, private

    def _write(self, kid: str, raw: bytes) -> None:
        try:
            make_private(self._directory)
            path = self._directory / f"{kid}.json"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(json.dumps({"d": base64url.encode(raw)}).encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise Unavailable(
                f"the plane's signing key can't be written: {error.strerror}",
                where=str(self._directory),
            ) from None

    def _read(self, kid: str) -> Any:
        """Return the private key of an id, or None where this state directory has none."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        path = self._directory / f"{kid}.json"
        try:
            text = json.loads(path.read_bytes())["d"]
            return Ed25519PrivateKey.from_private_bytes(base64url.decode(text))
        except (OSError, ValueError, KeyError, TypeError):
            return None


def published(tx: Transaction) -> list[Row]:
    """Return the keys that verifiers may meet, newest first."""
    return _PUBLISHED.all(tx, now=tx.now)


def jwks(tx: Transaction) -> dict[str, Any]:
    """Return the JWK set (RFC 7517) of every key that verifiers may meet."""
    return {"keys": [parse(row.jwk) for row in published(tx)]}
