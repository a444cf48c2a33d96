"""Sealed secrets: put, list, remove, seal anew. No answer holds a value."""

from __future__ import annotations

import re

from watchkeeper.api.table import Call, Operation
from watchkeeper.core.errors import Invalid
from watchkeeper.decide.tokens.credentials import references_in_force
from watchkeeper.tools.secrets.model import Sealed
from watchkeeper.wire.base import NAME
from watchkeeper.wire.pages import Page
from watchkeeper.wire.secrets import KeyRotation, PutSecret, SecretRow

_NAME = re.compile(NAME)


async def list_secrets(call: Call) -> Page[SecretRow]:
    """List sealed secrets by name, with who uses them; never values."""
    rooms, head = call.rooms, call.rooms.store.head
    rows = [await _row(call, one) for one in await rooms.sealed.list()]
    return Page[SecretRow](rows=tuple(rows), total=len(rows), sequence=head)


async def put_secret(call: Call) -> SecretRow:
    """Seal a value as the secret's next version."""
    body: PutSecret = call.body
    name = _name(call)
    return await _row(call, await call.rooms.sealed.put(name, body.value, actor=call.actor))


async def remove_secret(call: Call) -> None:
    """Forget a secret's value."""
    await call.rooms.sealed.remove(_name(call), actor=call.actor)


async def rotate_key(call: Call) -> KeyRotation:
    """Seal everything with a new key."""
    key, count = await call.rooms.sealed.rotate_key(actor=call.actor)
    return KeyRotation(key=key, secrets=count)


def _name(call: Call) -> str:
    name = call.path("name")
    if _NAME.fullmatch(name) is None:
        raise Invalid(
            "a secret's name is 1 to 63 lower-case letters, digits, dots, dashes and underscores",
            where="path: name",
        )
    return name


async def _row(call: Call, one: Sealed) -> SecretRow:
    users = references_in_force(call.rooms.view.now).get(f"sealed:{one.name}", ())
    trouble = await call.rooms.sealed.trouble(one.name)
    return SecretRow(
        name=one.name,
        version=one.version,
        key=one.key,
        created_at=one.created_at,
        rotated_at=one.rotated_at,
        used_at=one.used_at,
        used_by=users,
        trouble=trouble.message if trouble is not None else None,
    )


OPERATIONS = (
    Operation(
        "GET",
        "/v1/secrets",
        "secrets",
        list_secrets,
        "List sealed secrets with who uses them; never their values.",
        answers=Page[SecretRow],
        tags=("secrets",),
    ),
    Operation(
        "POST",
        "/v1/secrets/{name}",
        "secrets",
        put_secret,
        "Seal a value as the secret's next version.",
        answers=SecretRow,
        takes=PutSecret,
        tags=("secrets",),
    ),
    Operation(
        "POST",
        "/v1/secrets/{name}/remove",
        "secrets",
        remove_secret,
        "Forget a secret's value.",
        status=204,
        tags=("secrets",),
    ),
    Operation(
        "POST",
        "/v1/sealing-key/rotate",
        "secrets",
        rotate_key,
        "Seal every secret with a new key.",
        answers=KeyRotation,
        tags=("secrets",),
    ),
)
