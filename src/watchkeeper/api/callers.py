"""Who calls: the machine's owner over the socket, or a person or agent with a bearer token."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from watchkeeper.core.errors import Forbidden, Unauthenticated
from watchkeeper.identity.model import Person
from watchkeeper.identity.persons import person_of
from watchkeeper.store.store import Store

PEER = "watchkeeper.peer"
"""Key in the ASGI scope under which the listener puts the Unix socket's peer."""


def bearer_of(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the bearer token of a request, or None."""
    for name, value in headers:
        if name == b"authorization":
            kind, _, token = value.decode("latin-1").partition(" ")
            if kind.lower() == "bearer" and token:
                return token.strip()
    return None


async def find_person(store: Store, scope: Mapping[str, Any], bearer: str | None) -> Person:
    """Return the person who calls.

    Over the socket the kernel vouches for the account: the one that runs the plane is its
    owner and nobody else is let in. Elsewhere a person's token is needed. Raises
    `Unauthenticated` or `Forbidden`.
    """
    if bearer is not None:
        if not bearer.startswith("wkp_"):
            raise Unauthenticated(
                "this needs a person, and the token is not a person's",
                rule="identity/person-token",
                remedy="use a token from `watchkeeper token PERSON`",
            )
        return await store.read(lambda tx: person_of(tx, bearer))
    if PEER in scope:
        peer = scope[PEER]
        if peer is not None and peer.uid == os.getuid():
            return Person(account_name(peer.uid), "admin", "socket", owner=True)
        raise Forbidden(
            "only the account that runs this plane may use its socket",
            rule="identity/socket-peer",
            remedy="ask the owner for a person's token and use the HTTP address",
        )
    raise Unauthenticated(
        "no bearer token was given",
        rule="identity/person-token",
        remedy="send `Authorization: Bearer wkp_…`, or use the Unix socket on the machine",
    )


@cache
def account_name(uid: int) -> str:
    """Return the name of an account on this machine, as people are named in the ledger.

    Asked once: a directory service that does not answer must not hold up the socket.
    """
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = ""
    plain = re.sub(r"[^a-z0-9._-]", "-", name.lower())[:63].lstrip("._-")
    return plain or f"uid-{uid}"
