"""Logging in to a remote plane: an SSH key signs a challenge, or an issuer vouches."""

from __future__ import annotations

from watchkeeper.api.persons import show_issued
from watchkeeper.api.table import Call, Operation
from watchkeeper.core.errors import NotFound
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.tokens.proofs import as_trusted
from watchkeeper.identity import logins
from watchkeeper.identity.devices import DeviceIssuer, Pending
from watchkeeper.identity.persons import OWN_ROLES, issue_token
from watchkeeper.identity.proofs import key_proof, subject_proof
from watchkeeper.identity.ssh import verify_signature
from watchkeeper.registry.documents import Issuer
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.people import (
    LOGIN_NAMESPACE,
    LONGEST_LOGIN_SECONDS,
    AskChallenge,
    AskDevice,
    AskDeviceState,
    Challenge,
    DeviceLogin,
    DeviceState,
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


async def begin_device(call: Call) -> DeviceLogin:
    """Ask an issuer for a code that the person confirms elsewhere."""
    body: AskDevice = call.body
    rooms = call.rooms
    issuer = _choose(rooms.view.now, body.issuer)
    rooms.logins.check(f"issuer/{issuer.trusted.name}", rooms.clock.now())
    login, pending = await rooms.devices.begin(issuer)
    return DeviceLogin(
        login=login,
        issuer=issuer.trusted.name,
        user_code=pending.user_code,
        verification_uri=pending.verification_uri,
        verification_uri_complete=pending.verification_uri_complete,
        expires_at=pending.expires_at,
        interval_seconds=pending.interval_seconds,
    )


async def poll_device(call: Call) -> DeviceState:
    """Say whether the person has confirmed; once they have, with their token."""
    body: AskDeviceState = call.body
    rooms = call.rooms
    found = await rooms.devices.poll(body.login)
    if isinstance(found, Pending):
        return DeviceState(state="pending", interval_seconds=found.interval_seconds)
    person = rooms.view.now.person_at(found.issuer, found.subject)
    if person is None:
        raise logins.refused()
    proof = subject_proof(found.issuer, found.subject)
    token = await admit(call, person, proof, "oidc", LONGEST_LOGIN_SECONDS)
    return DeviceState(state="done", token=token)


def _choose(catalogue: Catalogue, name: str | None) -> DeviceIssuer:
    """Return an issuer where people log in by device; raise `NotFound` if there is no such."""
    usable = {
        one.name: found
        for one in catalogue.issuers.values()
        if one.of != "workloads" and (found := _device_issuer(one)) is not None
    }
    if name is None and len(usable) == 1:
        return next(iter(usable.values()))
    if name is None or name not in usable:
        raise NotFound(
            "say which issuer to log in at" if usable and name is None
            else f"people do not log in at issuer {name}" if name
            else "this plane has no issuer where people log in",
            remedy="known here: " + ", ".join(sorted(usable))
            if usable
            else "log in with a key: `watchkeeper login --ssh`",
        )  # fmt: skip
    return usable[name]


def _device_issuer(document: Issuer) -> DeviceIssuer | None:
    if not (document.client_id and document.device_authorization_url and document.token_url):
        return None
    return DeviceIssuer(
        as_trusted(document),
        document.client_id,
        document.device_authorization_url,
        document.token_url,
        document.person_claim,
    )


OPERATIONS = (
    Operation(
        "POST",
        "/v1/login/device",
        "anyone",
        begin_device,
        "Begin a login that the person confirms at an issuer (RFC 8628).",
        answers=DeviceLogin,
        takes=AskDevice,
        tags=("people",),
    ),
    Operation(
        "POST",
        "/v1/login/device/state",
        "anyone",
        poll_device,
        "Ask how a login by device stands; once it is confirmed, the token comes with it.",
        answers=DeviceState,
        takes=AskDeviceState,
        tags=("people",),
    ),
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
