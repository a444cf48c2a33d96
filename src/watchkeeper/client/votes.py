"""Signing votes: the text is built here, of what was shown; a plane's word for it is not taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from watchkeeper.client.logins import read_login
from watchkeeper.client.signing import find_key, sign_with
from watchkeeper.core.errors import Conflict, Invalid
from watchkeeper.wire.digests import is_as_shown
from watchkeeper.wire.requests import (
    VOTE_NAMESPACE,
    BreakGlass,
    RequestDetail,
    RequestRow,
    Vote,
    vote_text,
)

if TYPE_CHECKING:
    from watchkeeper.client.api import PlaneClient

Body = TypeVar("Body", Vote, BreakGlass)
Told = Callable[[str], None]
"""Is told which key signs, and whether to touch it."""


def _tell_nobody(text: str) -> None:
    return None


def needs_signature(request: RequestRow) -> bool:
    """Whether each vote on a request needs the voter's signature."""
    return request.signed or (isinstance(request, RequestDetail) and request.deciding.signed)


async def sign_vote(
    plane: PlaneClient,
    shown: RequestRow,
    body: Body,
    *,
    key: Path | None = None,
    told: Told = _tell_nobody,
    quiet: bool = True,
    state: str | None = None,
) -> Body:
    """Return a vote on, or a break-glass approval of, what was shown, signed by the caller.

    The key is `key`, the configuration's `signing_key`, or one that ssh-agent or ~/.ssh has; a
    hardware key may take two minutes to be touched. Waits beside the event loop and draws
    nothing; not `quiet`, ssh-keygen may ask for a passphrase on the terminal. Cancelling ends it.
    Raises `Invalid` where no key can sign, `Conflict` for a vote on something else than what was
    shown, or where another plane answers than the one that was logged in to.
    """
    if body.digest != shown.digest:
        raise Conflict(
            "what is to be signed is not what was shown",
            code="stale_digest",
            rule="approval/digest",
            remedy="open the request again and read it before you decide",
        )
    if isinstance(shown, RequestDetail) and is_as_shown(shown) is False:
        raise Conflict(
            "the digest is not of what was shown",
            code="not_as_shown",
            rule="approval/digest",
            remedy="sign nothing, and have the owner of the plane look at this request",
        )
    person = (await plane.whoami()).person
    signers = await plane.signers(person=person)
    _check_plane(plane, signers.plane, state)
    wanted = {row.fingerprint for row in signers.rows if row.valid_before is None}
    if not wanted:
        raise Invalid(
            f"no SSH key of {person} counts on this plane",
            rule="approval/signature",
            remedy=f"have the `person` document of {person} name your public key under ssh_keys",
        )
    found = await find_key(wanted, given=key)
    told(f"Touch the key {found} to sign" if found.touch else f"Signing with {found}")
    text = _text_of(body, signers.plane, shown, person)
    signature = await sign_with(found, text, namespace=VOTE_NAMESPACE, quiet=quiet)
    return body.model_copy(update={"signature": signature})


def _text_of(body: Vote | BreakGlass, plane: str, shown: RequestRow, person: str) -> bytes:
    about = plane, shown.request, shown.digest
    if isinstance(body, Vote):
        return vote_text(*about, body.verdict, person, body.reason, body.acting_for)
    return vote_text(*about, "break-glass", person, body.reason)


def _check_plane(plane: PlaneClient, answers: str, state: str | None) -> None:
    url = plane.address.url
    known = read_login(url, state) if url else None
    if known is not None and known.plane and known.plane != answers:
        raise Conflict(
            f"another plane answers here than at the last login ({answers}, not {known.plane})",
            where=url,
            remedy="if it was set up anew, log in with --new-plane; or else sign nothing",
        )
