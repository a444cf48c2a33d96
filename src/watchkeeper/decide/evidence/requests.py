"""What approvers were shown, and their votes as files that stock OpenSSH verifies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from watchkeeper.approvals.display import display_of
from watchkeeper.approvals.rows import find_or_none
from watchkeeper.approvals.voting import read_votes
from watchkeeper.core.digest import canonical
from watchkeeper.core.ssh import fingerprint
from watchkeeper.identity.logins import plane_id
from watchkeeper.registry.keys import key_spans
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.people import SignerKey
from watchkeeper.wire.requests import vote_text
from watchkeeper.wire.signed_votes import allowed_signers

Member = tuple[str, bytes]
GONE = "it is no longer kept"


def request_members(
    tx: Transaction, requests: Iterable[str], signers: set[str], missing: list[tuple[str, str]]
) -> Iterator[Member]:
    """Return members with displays and signed votes; whose they are goes to `signers`."""
    plane = plane_id(tx)
    for request in requests:
        row = find_or_none(tx, request)
        if row is None:
            missing.append((f"request {request}", GONE))
            continue
        yield f"requests/{request}.json", canonical(display_of(row))
        for number, vote in enumerate(read_votes(tx, request), 1):
            if not vote.signature:
                continue
            person = _plain(vote.person)
            owed = _plain(vote.acting_for) if vote.acting_for else None
            name = f"votes/{request}/{number}.txt"
            yield (
                name,
                vote_text(plane, request, vote.digest, vote.verdict, person, vote.reason, owed),
            )
            yield f"{name}.sig", vote.signature.encode()
            signers.add(person)


def signers_text(tx: Transaction, people: Iterable[str]) -> bytes:
    """Return the keys of people as an `allowed_signers` file, with when each counted."""
    return allowed_signers(
        SignerKey(
            person=span.person,
            key=span.key,
            fingerprint=fingerprint(span.key),
            valid_after=span.since,
            valid_before=span.until,
        )
        for person in sorted(people)
        for span in key_spans(tx, person)
    ).encode()


def _plain(person: str) -> str:
    return person.rpartition("/")[2]
