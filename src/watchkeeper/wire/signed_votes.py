"""Signed votes as files that stock OpenSSH verifies, without Watchkeeper."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.wire.people import SignerKey, Signers
from watchkeeper.wire.requests import VOTE_NAMESPACE, RequestDetail, VoteRow, vote_text

ALLOWED = "allowed_signers"


@dataclass(frozen=True, slots=True)
class SignedVote:
    """One signed vote: what was signed, the signature, and the command that verifies it."""

    name: str
    """Of its files: `NAME.txt` and `NAME.txt.sig`."""
    person: str
    key: str
    message: bytes
    signature: str
    command: tuple[str, ...]
    """To be run where the files are, with the message on its standard input."""

    @property
    def line(self) -> str:
        """The command as it is typed."""
        return " ".join(self.command) + f" < {self.name}.txt"


def allowed_signers(rows: Iterable[SignerKey]) -> str:
    """Return keys as an `allowed_signers` file (ssh-keygen(1)), for votes only.

    The times in which a key counted are in UTC, which takes OpenSSH 9.1.
    """
    return "".join(_allowed(row) for row in rows)


def signed_votes(request: RequestDetail, signers: Signers) -> tuple[SignedVote, ...]:
    """Return the votes on a request that are signed, in the order they were cast."""
    numbered = enumerate(request.votes, 1)
    return tuple(
        _signed(request, signers.plane, vote, number) for number, vote in numbered if vote.signature
    )


def _signed(request: RequestDetail, plane: str, vote: VoteRow, number: int) -> SignedVote:
    person = vote.person.removeprefix("person/")
    name = f"{number}-{person}"
    acting_for = vote.acting_for.removeprefix("person/") if vote.acting_for else None
    message = vote_text(
        plane, request.request, vote.digest, vote.verdict, person, vote.reason, acting_for
    )
    command = (
        *("ssh-keygen", "-Y", "verify", "-f", ALLOWED, "-I", person, "-n", VOTE_NAMESPACE),
        *("-O", f"verify-time={_time(vote.at)}", "-s", f"{name}.txt.sig"),
    )
    return SignedVote(name, person, vote.key or "", message, vote.signature or "", command)


def _allowed(row: SignerKey) -> str:
    options = [f'namespaces="{VOTE_NAMESPACE}"']
    if row.valid_after is not None:
        options.append(f'valid-after="{_time(row.valid_after)}"')
    if row.valid_before is not None:
        # a vote of the second in which the key was taken away was still good
        options.append(f'valid-before="{_time(row.valid_before + MICROSECONDS)}"')
    return f"{row.person} {','.join(options)} {row.key}\n"


def _time(at: int) -> str:
    """Return a time as ssh-keygen takes it, in whole seconds, as the clock showed them."""
    return datetime.fromtimestamp(at // MICROSECONDS, UTC).strftime("%Y%m%d%H%M%SZ")
