"""`identity`: how agents prove themselves. `keys`: what the plane signs with."""

from __future__ import annotations

import os
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from watchkeeper.cli.group import NamedGroup
from watchkeeper.cli.output import fail, print_json, print_table, say
from watchkeeper.cli.session import REASON, Session, speaks
from watchkeeper.cli.words import at
from watchkeeper.core.errors import Invalid, WatchkeeperError

if TYPE_CHECKING:
    from watchkeeper.wire.oauth import SigningKeyRow
    from watchkeeper.wire.pages import Page

T = TypeVar("T")


@click.group(cls=NamedGroup)
def identity() -> None:
    """Prove an agent with a key pair; see and take back what agents prove themselves with."""


@identity.command("list")
@click.argument("agent")
@speaks()
def list_(session: Session, agent: str) -> None:
    """List an agent's keys, credentials and access tokens."""
    page = session.call(lambda plane: plane.credentials(agent))
    if session.json:
        print_json(page)
        return
    if not page.rows:
        say(f"{agent} has none; `watchkeeper enroll {agent}`")
        return
    print_table(
        ("ID", "KIND", "ALGORITHM", "SINCE", "UNTIL", "STATE"),
        [
            (
                row.id,
                row.kind,
                row.algorithm or "-",
                at(row.created_at),
                at(row.expires_at),
                "valid" if row.revoked_at is None else f"revoked {at(row.revoked_at)}",
            )
            for row in page.rows
        ],
    )


@identity.command("revoke", short_help="Take back a key or credential at once.")
@click.argument("credential")
@REASON
@speaks()
def revoke(session: Session, credential: str, reason: str) -> None:
    """Take back a credential or key (an id of `identity list`) with all that was got with it."""
    found = session.call(lambda plane: plane.revoke_credential(credential, reason))
    if session.json:
        print_json(found)
        return
    say(f"revoked {found.id}: {found.revoked} secrets, keys and tokens were valid until now")


@identity.command("join", short_help="As a workload: make and register a key pair.")
@click.argument("file", type=click.Path(dir_okay=False))
def join(file: str) -> None:
    """As a workload: make a key pair, register it, and keep it in a new FILE.

    Takes WATCHKEEPER_URL and WATCHKEEPER_ENROLMENT, as `watchkeeper enroll` printed them.
    """
    from watchkeeper.client.workload import WorkloadKey

    url, secret = (os.environ.get(f"WATCHKEEPER_{name}", "") for name in ("URL", "ENROLMENT"))
    if not url or not secret:
        fail(Invalid("set WATCHKEEPER_URL and WATCHKEEPER_ENROLMENT first"))
    made = _run(WorkloadKey.join(url, secret, Path(file)))
    say(f"{made.agent} is known by key_{made.key}; its private half is in {file}")


@identity.command("token", short_help="As a workload: get a token that opens runs.")
@click.argument("file", type=click.Path(dir_okay=False))
def token(file: str) -> None:
    """As a workload: print a short-lived token that opens runs, got with the key in FILE."""
    from watchkeeper.client.workload import WorkloadKey

    async def get() -> str:
        return str((await WorkloadKey.read(Path(file)).access_token())["access_token"])

    say(_run(get()))


def _run(work: Coroutine[Any, Any, T]) -> T:
    import asyncio

    try:
        return asyncio.run(work)
    except WatchkeeperError as error:
        fail(error)


@click.group(cls=NamedGroup)
def keys() -> None:
    """See and rotate the keys that the plane signs tokens with."""


@keys.command("list")
@speaks()
def list_keys(session: Session) -> None:
    """List the keys that the planes sign with, and those still published."""
    _show(session, session.call(lambda plane: plane.signing_keys()))


@keys.command("rotate", short_help="Sign with a new key from now on.")
@REASON
@speaks()
def rotate(session: Session, reason: str) -> None:
    """Sign with a new key from now on; the old one is published while its tokens are valid."""
    _show(session, session.call(lambda plane: plane.rotate_keys(reason)))


def _show(session: Session, page: Page[SigningKeyRow]) -> None:
    if session.json:
        print_json(page)
        return
    if not page.rows:
        say("no key yet: the first is made when something is first signed")
        return
    print_table(
        ("KEY", "PLANE", "SINCE", "STATE"),
        [
            (
                row.key,
                row.plane,
                at(row.created_at),
                "signs"
                if row.published_until is None
                else f"published until {at(row.published_until)}",
            )
            for row in page.rows
        ],
    )
