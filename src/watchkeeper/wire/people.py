"""People: their tokens, how they log in, and what they may do here."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from watchkeeper.wire.base import Name, Sent, Shown

Via = Literal["socket", "token", "ssh", "oidc"]
"""How the plane knows a person."""

LONGEST_LOGIN_SECONDS = 43_200
LOGIN_NAMESPACE = "watchkeeper-login@watchkeeper"
"""The namespace of signatures that log in (OpenSSH's PROTOCOL.sshsig): none made for another
purpose is taken for one, and the other way round."""


def _no_owner(value: str) -> str:
    if value == "owner":
        raise ValueError("owner stands for the account that runs the plane")
    return value


PersonName = Annotated[Name, AfterValidator(_no_owner)]
"""The name of a person; `owner` is nobody's."""


def login_text(plane: str, person: str, nonce: str) -> bytes:
    """Return exactly what a person signs to log in to one plane once."""
    return f"watchkeeper login\nplane {plane}\nperson {person}\nnonce {nonce}\n".encode()


class IssueToken(Sent):
    """Ask for a person's token for a remote console."""

    person: PersonName
    permission: Name = "viewer"
    """The operator role that the token carries."""
    ttl_seconds: int = Field(43_200, ge=60, le=30 * 86_400)


class PersonToken(Shown):
    """A person's bearer token; shown once, hashed at rest."""

    person: str
    token: str
    expires_at: int
    id: str = ""
    """What lists and `watchkeeper tokens revoke` call it."""


class TokenRow(Shown):
    """A person's token that is not over yet; times in microseconds."""

    id: str
    person: str
    role: str
    """The operator role it carries; `*`: all of the person's own."""
    via: Via
    created_at: int
    expires_at: int
    current: bool = False
    """Whether it is the one this call was made with."""


class RevokeToken(Sent):
    """End one token by id."""

    id: str = Field(max_length=60)


class PersonRow(Shown):
    """A person with a document, and what it lets them do."""

    name: str
    roles: tuple[str, ...]
    """Operator roles, each with its teams where it counts in some only: `approver (finance)`."""
    permissions: tuple[str, ...]
    ssh_keys: int
    oidc: tuple[str, ...]
    """The issuers that know the person."""
    tokens: int


class SignerKey(Shown):
    """A key that a person's votes may be signed with, and from when to when; microseconds."""

    person: str
    key: str
    """As in `authorized_keys`, without options or comment."""
    fingerprint: str
    """`SHA256:…`, as ssh-keygen and ssh-add print it."""
    valid_after: int | None = None
    """When a document first named it."""
    valid_before: int | None = None
    """When none named it any more; absent: it counts now."""


class Signers(Shown):
    """Whose signatures on votes count, and on which plane."""

    plane: str
    """The plane's id, which each vote's text names."""
    rows: tuple[SignerKey, ...] = ()


class AskChallenge(Sent):
    """Ask for something to sign."""

    person: PersonName


class Challenge(Shown):
    """What to sign with `ssh-keygen -Y sign`, within a minute."""

    plane: str
    """The plane's id, which is signed: a signature for one plane opens no other."""
    nonce: str
    expires_at: int


class SshLogin(Sent):
    """A challenge, signed."""

    person: PersonName
    nonce: str = Field(max_length=100)
    signature: str = Field(max_length=16_000)
    """As ssh-keygen writes it, armoured."""
    ttl_seconds: int = Field(LONGEST_LOGIN_SECONDS, ge=60, le=LONGEST_LOGIN_SECONDS)


class AskDevice(Sent):
    """Ask to log in at an issuer of people."""

    issuer: Name | None = None
    """Absent where only one issuer knows people."""


class DeviceLogin(Shown):
    """What the person opens and types elsewhere (RFC 8628)."""

    login: str
    """Names this login when asking how it stands; a secret."""
    issuer: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str | None = None
    expires_at: int
    interval_seconds: float


class AskDeviceState(Sent):
    """Ask how a login by device stands."""

    login: str = Field(max_length=100)


class DeviceState(Shown):
    """How a login by device stands."""

    state: Literal["pending", "done"]
    interval_seconds: float = 5
    """How long to wait before asking again."""
    token: PersonToken | None = None
