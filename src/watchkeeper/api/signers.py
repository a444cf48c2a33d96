"""Whose signatures on votes count: keys of people, now and before."""

from __future__ import annotations

from watchkeeper.api.table import Call, Operation
from watchkeeper.core.ssh import fingerprint
from watchkeeper.identity.logins import plane_id
from watchkeeper.registry.keys import key_spans
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.people import SignerKey, Signers


async def signers(call: Call) -> Signers:
    """List the keys that votes are signed with, of one person or of all."""
    person = call.text("person")

    def query(tx: Transaction) -> Signers:
        rows = tuple(
            SignerKey(
                person=span.person,
                key=span.key,
                fingerprint=fingerprint(span.key),
                valid_after=span.since,
                valid_before=span.until,
            )
            for span in key_spans(tx, person)
        )
        return Signers(plane=plane_id(tx), rows=rows)

    return await call.rooms.store.scan(query)


OPERATIONS = (
    Operation(
        "GET",
        "/v1/signers",
        "read",
        signers,
        "List the SSH keys that votes are signed with, those that counted once too.",
        answers=Signers,
        query=("person",),
        tags=("approvals",),
    ),
)
