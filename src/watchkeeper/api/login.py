"""Logging in to a remote plane: an SSH key signs a challenge, or an issuer vouches."""

from __future__ import annotations

from watchkeeper.api.persons import show_issued
from watchkeeper.api.table import Call, Operation
from watchkeeper.identity import logins
from watchkeeper.identity.persons import OWN_ROLES, issue_token
from watchkeeper.identity.proofs import key_proof
from watchkeeper.identity.ssh import verify_signature
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.people import (
    LOGIN_NAMESPACE,
    AskChallenge,
    Challenge,
    PersonToken,
    SshLogin,
    Via,
    login_text,
)


async def challenge(call: Call) -> Challenge:
    """Return something to sign; whether there is such a person is not told."""
    body: AskChallenge = call.body
    rooms = call.rooms
    rooms.logins.check(body.person, rooms.clock.now())
    plane = await rooms.store.read(logins.plane_id)
    nonce, expires_at = await rooms.store.write(lambda tx: logins.make_challenge(tx, body.person))
    return Challenge(plane=plane, nonce=nonce, expires_at=expires_at)


async def log_in_with_key(call: Call) -> PersonToken:
    """Take a signed challenge and issue a token that carries the person's own roles."""
    body: SshLogin = call.body
    rooms, person = call.rooms, body.person
    rooms.logins.check(person, rooms.clock.now())
    taken = await rooms.store.write(lambda tx: logins.take_challenge(tx, person, body.nonce))
    document = rooms.view.now.people.get(person)
    key = None
    if taken and document is not None:
        key = await verify_signature(
            document.ssh_keys,
            login_text(await rooms.store.read(logins.plane_id), person, body.nonce),
            body.signature,
            namespace=LOGIN_NAMESPACE,
        )
    return await admit(call, person, key_proof(key) if key else None, "ssh", body.ttl_seconds)


async def admit(
    call: Call, person: str, proof: str | None, via: Via, ttl_seconds: int
) -> PersonToken:
    """Issue a person's token for a proof that their document names at this moment.

    Raises the one refusal of logins otherwise; for a person with a document it is recorded.
    """
    rooms = call.rooms

    def refuse(tx: Transaction) -> None:
        tx.record(
            "person.login_refused",
            actor="plane",
            subject=f"person/{person}",
            body={"via": via},
        )

    if proof is None or proof not in rooms.view.now.proofs_of(person):
        if person in rooms.view.now.people:
            await rooms.store.write(refuse)
        raise logins.refused()
    issued = await rooms.store.write(
        lambda tx: issue_token(
            tx,
            person,
            OWN_ROLES,
            ttl_seconds=ttl_seconds,
            actor=f"person/{person}",
            via=via,
            proof=proof,
        )
    )
    return show_issued(person, issued)


OPERATIONS = (
    Operation(
        "POST",
        "/v1/login/challenge",
        "anyone",
        challenge,
        "Get a challenge to sign with an SSH key; it holds for a minute and one login.",
        answers=Challenge,
        takes=AskChallenge,
        tags=("people",),
    ),
    Operation(
        "POST",
        "/v1/login/ssh",
        "anyone",
        log_in_with_key,
        "Log in with a signed challenge (namespace watchkeeper-login@watchkeeper).",
        answers=PersonToken,
        takes=SshLogin,
        tags=("people",),
    ),
)
