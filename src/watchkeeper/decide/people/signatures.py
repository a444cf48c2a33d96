"""Signatures on votes: whose key made one, and whether that key still is that person's."""

from __future__ import annotations

from dataclasses import dataclass

from watchkeeper.core.errors import Forbidden
from watchkeeper.core.ssh import fingerprint, plain_key
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.identity.logins import plane_id
from watchkeeper.identity.ssh import verify_signature
from watchkeeper.registry.keys import keys_in_force
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.requests import VOTE_NAMESPACE, vote_text


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature that a person's key made over exactly the vote that it came with."""

    person: str
    key: str
    """As in `authorized_keys`, without a comment."""
    signature: str

    @property
    def fingerprint(self) -> str:
        """The key's name, as ssh-keygen prints it."""
        return fingerprint(self.key)


async def verify_vote(
    store: Store,
    catalogue: Catalogue,
    *,
    person: str,
    request: str,
    digest: str,
    verdict: str,
    reason: str | None,
    signature: str | None,
    acting_for: str | None = None,
) -> Signed | None:
    """Return who signed a vote with which key, or None where it came without a signature.

    `person` is who casts it, by plain name. Raises `Forbidden` (`signature_invalid`) for a
    signature that no key of theirs made over this vote; `Unavailable` without ssh-keygen.
    """
    if signature is None:
        return None
    document = catalogue.people.get(person)
    plane = await store.read(plane_id)
    text = vote_text(plane, request, digest, verdict, person, reason, acting_for)
    keys = document.ssh_keys if document is not None else ()
    key = await verify_signature(keys, text, signature, namespace=VOTE_NAMESPACE)
    if key is None:
        raise _invalid(person)
    return Signed(person, plain_key(key), signature)


def check_still(tx: Transaction, signed: Signed | None) -> None:
    """Raise `Forbidden` if the key has left the person's document since it was verified."""
    if signed is not None and signed.key not in keys_in_force(tx, signed.person):
        raise _invalid(signed.person)


def _invalid(person: str) -> Forbidden:
    return Forbidden(
        f"the signature is of no key of {person} over this vote",
        code="signature_invalid",
        rule="approval/signature",
        remedy="sign with a key that your `person` document names, on this plane's request as "
        "it is now: `watchkeeper requests approve` does",
    )
