"""Who calls: the machine's owner over the socket, or a person or agent with a bearer token."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from watchkeeper.core.errors import Forbidden, Unauthenticated
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.identity.model import Person
from watchkeeper.identity.operators import ALL, Assigned, Permissions, permissions_of
from watchkeeper.identity.persons import OWN_ROLES, TokenFacts, facts_of_token
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


async def find_person(
    store: Store, catalogue: Catalogue, scope: Mapping[str, Any], bearer: str | None
) -> Person:
    """Return the person who calls, with what they may do now.

    Over the socket the kernel vouches for the account: the one that runs the plane is its
    owner, another is whoever's document names it, and nobody else is let in. Elsewhere a
    person's token is needed. Raises `Unauthenticated` or `Forbidden`.
    """
    if bearer is not None:
        if not bearer.startswith("wkp_"):
            raise Unauthenticated(
                "this needs a person, and the token is not a person's",
                rule="identity/person-token",
                remedy="use a token from `watchkeeper login` or `watchkeeper token PERSON`",
            )
        return bearer_person(await store.read(lambda tx: facts_of_token(tx, bearer)), catalogue)
    if PEER in scope:
        return _peer_person(scope[PEER], catalogue)
    raise Unauthenticated(
        "no bearer token was given",
        rule="identity/person-token",
        remedy="log in with `watchkeeper --connect URL login`, or send "
        "`Authorization: Bearer wkp_…`",
    )


def bearer_person(facts: TokenFacts, catalogue: Catalogue) -> Person:
    """Return the person of a live token.

    A token never carries more than its person's document grants at this moment, and one that
    was had by a login ends with what was logged in with. Raises `Unauthenticated`.
    """
    documented = catalogue.permissions_of(facts.person)
    if facts.role == OWN_ROLES:
        if documented is None or facts.proof not in catalogue.proofs_of(facts.person):
            raise Unauthenticated(
                "what this token was had with counts no longer",
                rule="identity/person-token",
                remedy="log in again with `watchkeeper login`",
            )
        return Person(
            facts.person, roles_in_words(catalogue, facts.person), documented, facts.via,
            token=facts.id,
        )  # fmt: skip
    granted = permissions_of([Assigned(facts.role)], catalogue.operator_roles)
    if documented is not None:
        granted = granted.within(documented)
    return Person(facts.person, (facts.role,), granted, facts.via, token=facts.id)


def _peer_person(peer: Any, catalogue: Catalogue) -> Person:
    if peer is not None and peer.uid == os.getuid():
        return Person(account_name(peer.uid), ("owner",), ALL, "socket", owner=True)
    account = _account(peer.uid) if peer is not None else ""
    if account:
        for name, document in catalogue.people.items():
            if account in document.accounts:
                held = catalogue.permissions_of(name) or Permissions()
                return Person(name, roles_in_words(catalogue, name), held, "socket")
    raise Forbidden(
        "only the account that runs this plane, and those that a person document names, may "
        "use its socket",
        rule="identity/socket-peer",
        remedy="ask the owner for a person's token and use the HTTP address",
    )


def roles_in_words(catalogue: Catalogue, name: str) -> tuple[str, ...]:
    """Return a person's operator roles, each with its teams where it counts in some only."""
    document = catalogue.people[name]
    return tuple(
        one.role + (f" ({', '.join(one.teams)})" if one.teams else "") for one in document.operates
    )


@cache
def _account(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


@cache
def account_name(uid: int) -> str:
    """Return the name of an account on this machine, as people are named in the ledger.

    Asked once: a directory service that does not answer must not hold up the socket.
    """
    plain = re.sub(r"[^a-z0-9._-]", "-", _account(uid).lower())[:63].lstrip("._-")
    return plain or f"uid-{uid}"
