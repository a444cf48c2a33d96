"""`login`, `logout`, `whoami`: who I am at a remote plane."""

from __future__ import annotations

import getpass
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from watchkeeper.cli.output import fail, print_facts, print_json, say
from watchkeeper.cli.session import Session, speaks
from watchkeeper.cli.words import at
from watchkeeper.core.errors import Conflict, Invalid, NotFound, WatchkeeperError

if TYPE_CHECKING:
    from watchkeeper.wire.people import PersonToken


@click.command()
@click.option("--ssh", is_flag=True, help="With an SSH key, of the agent or a file.")
@click.option("--key", metavar="PATH", help="Which SSH key; implies --ssh.")
@click.option("--as", "person", metavar="PERSON", help="With --ssh: who; usually the account.")
@click.option("--issuer", metavar="NAME", help="Where to log in; needed where there are several.")
@click.option("--new-plane", is_flag=True, help="Another plane answers here now; that is right.")
@speaks()
def login(
    session: Session,
    ssh: bool,
    key: str | None,
    person: str | None,
    issuer: str | None,
    new_plane: bool,
) -> None:
    """Log in to a remote plane; other commands and the console then use it.

    Without --ssh: at an issuer, by a code to confirm in a browser anywhere.
    """
    from watchkeeper.client.logins import Login, keep_login, plain_url

    try:
        url = _remote(session)
        plane = ""
        if ssh or key:
            plane, token = _with_key(session, url, key, person or getpass.getuser(), new_plane)
        else:
            token = _by_device(session, issuer)
            plane = _known_plane(session, url)
        kept = keep_login(
            Login(plain_url(url), plane, token.person, token.token, token.expires_at),
            session.state,
        )
    except WatchkeeperError as error:
        fail(error)
    if session.json:
        print_json(token.model_copy(update={"token": "kept"}))
        return
    say(f"Logged in as {token.person} until {at(token.expires_at)}; kept in {kept}")


@click.command()
@speaks(json=False)
def logout(session: Session) -> None:
    """End my login at a remote plane, there and here."""
    from dataclasses import replace

    from watchkeeper.client.logins import keep_login, read_login

    try:
        known = read_login(_remote(session), session.state)
        if known is None or not known.token:
            raise NotFound("there is no login to end here", where=session.connect)
        keep_login(replace(known, person="", token="", expires_at=0), session.state)
    except WatchkeeperError as error:
        fail(error)
    session.call(lambda plane: plane.log_out(), token=known.token)
    say("Logged out.")


@click.command()
@speaks()
def whoami(session: Session) -> None:
    """Show who the plane takes me for, and what I may do."""
    me = session.call(lambda plane: plane.whoami())
    if session.json:
        print_json(me)
        return
    print_facts(
        [
            ("I am", f"{me.person}, by {me.via}"),
            ("roles", me.permission or "none"),
            ("I may", ", ".join(me.permissions) or "nothing"),
            ("asked as", ", ".join(me.roles) or None),
        ]
    )


def _remote(session: Session) -> str:
    if not session.connect:
        raise Invalid(
            "the plane of this machine knows you by your account, without a login",
            remedy="name a remote plane: `watchkeeper --connect URL login`",
        )
    return session.connect


def _known_plane(session: Session, url: str) -> str:
    from watchkeeper.client.logins import read_login

    known = read_login(url, session.state)
    return known.plane if known else ""


def _with_key(
    session: Session, url: str, key: str | None, person: str, new_plane: bool
) -> tuple[str, PersonToken]:
    import asyncio

    from watchkeeper.client.signing import sign
    from watchkeeper.wire.people import LOGIN_NAMESPACE, AskChallenge, SshLogin, login_text

    ask = AskChallenge(person=person)
    found = session.call(lambda plane: plane.challenge(ask), token="")
    known = _known_plane(session, url)
    if known and known != found.plane and not new_plane:
        raise Conflict(
            f"another plane answers here than at the last login ({found.plane}, not {known})",
            where=url,
            remedy="if it was set up anew, log in with --new-plane; or else sign nothing",
        )
    signature = asyncio.run(
        sign(
            login_text(found.plane, person, found.nonce),
            namespace=LOGIN_NAMESPACE,
            key=Path(key).expanduser() if key else None,
        )
    )
    body = SshLogin(person=person, nonce=found.nonce, signature=signature)
    return found.plane, session.call(lambda plane: plane.log_in_with_key(body), token="")


def _by_device(session: Session, issuer: str | None) -> PersonToken:
    from watchkeeper.wire.people import AskDevice, AskDeviceState

    ask = AskDevice(issuer=issuer)
    begun = session.call(lambda plane: plane.begin_device(ask), token="")
    say(f"Open {begun.verification_uri} in any browser", err=True)
    say(f"and enter the code {begun.user_code}", err=True)
    if begun.verification_uri_complete:
        say(f"or open {begun.verification_uri_complete}", err=True)
    say(f"Waiting until {at(begun.expires_at)} …", err=True)
    body = AskDeviceState(login=begun.login)
    wait = begun.interval_seconds
    while True:
        time.sleep(min(max(wait, 1.0), 60.0))
        state = session.call(lambda plane: plane.device_state(body), token="")
        if state.token is not None:
            return state.token
        wait = state.interval_seconds
