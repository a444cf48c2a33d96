"""How agents may prove themselves, and the keys that the plane signs with."""

from __future__ import annotations

from watchkeeper.api.table import Call, Operation
from watchkeeper.core.errors import NotFound
from watchkeeper.identity import listing, signing
from watchkeeper.identity.revocation import revoke
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.agents import CredentialRow, RevokeCredential, Revoked
from watchkeeper.wire.oauth import RotateKeys, SigningKeyRow
from watchkeeper.wire.pages import Page


async def credentials(call: Call) -> Page[CredentialRow]:
    """List the ways in which an agent may prove itself."""
    agent, head = call.path("agent"), call.rooms.store.head
    call.check_agent("read", agent)
    rows = await call.rooms.store.read(lambda tx: listing.list_credentials(tx, agent))
    if not rows and agent not in call.rooms.view.now.agents:
        raise NotFound(f"there is no agent {agent!r:.80}", remedy="see `watchkeeper agents`")
    return Page[CredentialRow](rows=tuple(rows), sequence=head)


async def revoke_credential(call: Call) -> Revoked:
    """Take back a credential or key, and every token that was got with it."""
    body: RevokeCredential = call.body
    wanted = call.path("credential")

    def unit(tx: Transaction) -> Revoked:
        known = listing.find_listed(tx, wanted)
        call.check_agent("enroll", known.owner)
        count = revoke(tx, known, actor=call.actor, reason=body.reason)
        return Revoked(id=wanted, revoked=count)

    return await call.rooms.store.write(unit)


async def keys(call: Call) -> Page[SigningKeyRow]:
    """List the keys that the planes sign with, and those still published."""
    head = call.rooms.store.head
    rows = await call.rooms.store.read(
        lambda tx: tuple(
            SigningKeyRow(
                key=row.key,
                plane=row.plane,
                created_at=row.created_at,
                retired_at=row.retired_at,
                published_until=row.published_until,
            )
            for row in signing.published(tx)
        )
    )
    return Page[SigningKeyRow](rows=rows, sequence=head)


async def rotate(call: Call) -> Page[SigningKeyRow]:
    """Sign with a new key from now on; the old one is published as long as it matters."""
    body: RotateKeys = call.body
    await call.rooms.tokens.signing.rotate(actor=call.actor, reason=body.reason)
    return await keys(call)


OPERATIONS = (
    Operation(
        "GET",
        "/v1/agents/{agent}/credentials",
        "read",
        credentials,
        "List the keys, credentials and access tokens an agent may prove itself with.",
        answers=Page[CredentialRow],
        tags=("agents",),
    ),
    Operation(
        "POST",
        "/v1/credentials/{credential}/revoke",
        "enroll",
        revoke_credential,
        "Take back an agent's credential or key, and every token that was got with it.",
        answers=Revoked,
        takes=RevokeCredential,
        tags=("agents",),
        by_team=True,
    ),
    Operation(
        "GET",
        "/v1/signing-keys",
        "read",
        keys,
        "List the keys that the plane signs with, and those still published.",
        answers=Page[SigningKeyRow],
        tags=("plane",),
    ),
    Operation(
        "POST",
        "/v1/signing-keys/rotate",
        "keys",
        rotate,
        "Sign with a new key from now on; the old one stays published while it matters.",
        answers=Page[SigningKeyRow],
        takes=RotateKeys,
        tags=("plane",),
    ),
)
