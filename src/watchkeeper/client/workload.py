"""A workload's key pair: made here, registered once, signs for short-lived tokens (RFC 7523)."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from watchkeeper.client.address import Address
from watchkeeper.client.agent import AgentClient
from watchkeeper.client.transport import Transport
from watchkeeper.core import base64url, ids
from watchkeeper.core.clock import MICROSECONDS, SystemClock
from watchkeeper.core.digest import canonical, parse
from watchkeeper.core.errors import Invalid, Unauthenticated

ASSERTION_SECONDS = 120
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class WorkloadKey:
    """An agent's Ed25519 key pair and where it gets tokens; kept in a file only its owner reads."""

    agent: str
    key: str
    """The id the plane knows it by."""
    private: str
    """The private half (RFC 8037 `d`)."""
    token_url: str
    url: str

    @classmethod
    async def join(cls, url: str, secret: str, path: Path) -> Self:
        """Make a key pair, redeem a one-time secret for it, and keep it in a new file.

        The file is written before the secret is spent. Raises `Invalid` if it exists or can't be
        written, and what the plane refuses with.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        private = Ed25519PrivateKey.generate()
        raw = private.private_bytes_raw()
        public = private.public_key().public_bytes_raw()
        jwk = {"kty": "OKP", "crv": "Ed25519", "x": base64url.encode(public)}
        descriptor = _create(path)
        try:
            async with AgentClient(url) as client:
                found = await client.redeem(secret, jwk)
        except BaseException:
            os.close(descriptor)
            path.unlink()
            raise
        made = cls(found.agent, found.key or "", base64url.encode(raw), found.token_url or "", url)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(made), file)
            file.flush()
            os.fsync(file.fileno())
        return made

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a key file; raise `Invalid` for what is none."""
        try:
            return cls(**parse(path.read_bytes()))
        except (OSError, TypeError):
            raise Invalid(
                "this is no key file of a workload",
                where=str(path),
                remedy="make one with `watchkeeper identity join FILE`",
            ) from None

    def assertion(self) -> str:
        """Return a client assertion: good once, for two minutes."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        now = SystemClock().now() // MICROSECONDS
        claims = {
            "iss": self.agent,
            "sub": self.agent,
            "aud": self.token_url,
            "iat": now,
            "exp": now + ASSERTION_SECONDS,
            "jti": ids.secret("jti"),
        }
        header = {"alg": "EdDSA", "kid": self.key, "typ": "JWT"}
        signed = f"{base64url.encode(canonical(header))}.{base64url.encode(canonical(claims))}"
        raw = base64url.decode(self.private)
        signature = Ed25519PrivateKey.from_private_bytes(raw).sign(signed.encode())
        return f"{signed}.{base64url.encode(signature)}"

    async def access_token(self) -> dict[str, Any]:
        """Get a short-lived token that opens runs; raises what the plane refuses with."""
        from urllib.parse import urlencode

        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": self.assertion(),
        }
        transport = Transport(Address(url=self.url))
        try:
            reply = await transport.send(
                "POST", "/oauth/token", body=urlencode(form).encode(), kind=_FORM
            )
        finally:
            await transport.close()
        found: dict[str, Any] = parse(reply.body)
        if reply.status >= 400:
            raise Unauthenticated(
                str(found.get("error_description") or found.get("error")),
                code=str(found.get("error")),
                rule=found.get("rule"),
                remedy="see what stands with `watchkeeper identity list AGENT`, or enrol it again",
            )
        return found


def _create(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Invalid("the file exists already", where=str(path)) from None
    except OSError as error:
        raise Invalid(f"the file can't be written: {error.strerror}", where=str(path)) from None
