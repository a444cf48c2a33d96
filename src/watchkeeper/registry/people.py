"""Documents about people: what they may do here, and the roles that grant it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from watchkeeper.registry.parts import Part
from watchkeeper.wire.base import Name
from watchkeeper.wire.people import PersonName
from watchkeeper.wire.permissions import BUILT_IN_ROLES, OWNER_ONLY, Permission


class Assignment(Part):
    """An operator role that a person holds, in some teams or in all."""

    role: Name
    teams: tuple[Name, ...] = ()
    """Empty: every team."""


class OidcSubject(Part):
    """Who a person is at an issuer."""

    issuer: Name
    subject: str = Field(min_length=1, max_length=500)


class Contact(Part):
    """A channel by which a person is told, and how long after they are asked."""

    channel: Name
    after_seconds: int = Field(0, ge=0, le=86_400)


class Person(Part):
    """A person: what they may do here, and how they are known."""

    name: PersonName
    operates: tuple[Assignment, ...] = ()
    oidc: tuple[OidcSubject, ...] = ()
    ssh_keys: tuple[
        Annotated[
            str,
            Field(
                max_length=2000,
                pattern=r"^(ssh-(ed25519|rsa)|ecdsa-sha2-nistp(256|384|521)"
                r"|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)"
                r" [A-Za-z0-9+/]{40,}={0,2}( [^\x00-\x1f\x7f]*)?$",
            ),
        ],
        ...,
    ] = Field((), max_length=20)
    """Public keys as in `authorized_keys`, without options."""
    accounts: tuple[Annotated[str, Field(max_length=63)], ...] = ()
    """Accounts of this machine that are this person on the plane's socket."""
    aliases: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = Field(
        (), max_length=20
    )
    """Other names that agents and issuers know this person by: who is asked for under one of
    these is this person, and nobody approves what is done on their own behalf."""
    contacts: tuple[Contact, ...] = Field((), max_length=10)
    """How this person is told that something waits."""


class OperatorRole(Part):
    """An operator role of your own, beside viewer, approver, responder, admin and auditor."""

    name: Name
    permissions: tuple[Permission, ...] = Field(min_length=1)

    @field_validator("name")
    @classmethod
    def _own(cls, value: str) -> str:
        if value in (*BUILT_IN_ROLES, "owner"):
            raise ValueError(f"{value} is built in; give the role a name of its own")
        return value

    @field_validator("permissions")
    @classmethod
    def _grantable(cls, value: tuple[Permission, ...]) -> tuple[Permission, ...]:
        if taken := sorted(OWNER_ONLY & set(value)):
            raise ValueError(f"{', '.join(taken)}: only the account that runs the plane has that")
        return value
