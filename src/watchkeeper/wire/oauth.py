"""What crosses `/oauth`: forms (RFC 6749, 8693, 7662, 7009) and their answers."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from watchkeeper.wire.base import Reason, Sent, Shown

CLIENT_CREDENTIALS = "client_credentials"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
JWT_SPIFFE = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"
ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"
ID_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105
_TOKEN = Field(None, max_length=16_384)


class Form(BaseModel):
    """A form as OAuth sends it: unknown parameters are passed over (RFC 6749, 3.2)."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    client_id: str | None = Field(None, max_length=300)
    client_secret: str | None = Field(None, max_length=300)
    client_assertion: str | None = _TOKEN
    client_assertion_type: str | None = Field(None, max_length=200)


class TokenForm(Form):
    """What is sent to `/oauth/token`."""

    grant_type: str = Field(max_length=200)
    scope: str | None = Field(None, max_length=20_000)
    resource: str | None = Field(None, max_length=500)
    authorization_details: str | None = Field(None, max_length=20_000)
    subject_token: str | None = _TOKEN
    subject_token_type: str | None = Field(None, max_length=200)
    actor_token: str | None = _TOKEN
    actor_token_type: str | None = Field(None, max_length=200)
    requested_token_type: str | None = Field(None, max_length=200)
    goal: str = Field("", max_length=2000)
    """Ours: what the run that is opened is for."""
    environment: str | None = Field(None, max_length=60)
    """Ours: the environment it works in; the contract's first if left out."""


class TokenToLookUp(Form):
    """A token to introspect or to revoke."""

    token: str = Field(min_length=1, max_length=16_384)
    token_type_hint: str | None = Field(None, max_length=100)


class TokenGiven(Shown):
    """A token, as RFC 6749 (5.1) and RFC 8693 (2.2.1) answer; run and addresses are ours."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105
    expires_in: int
    issued_token_type: str | None = None
    scope: str | None = None
    authorization_details: tuple[dict[str, Any], ...] | None = None
    agent: str | None = None
    run: str | None = None
    mcp_url: str | None = None
    model_base_url: str | None = None
    anthropic_base_url: str | None = None


class SigningKeyRow(Shown):
    """A key that the plane signs or signed with."""

    key: str
    plane: str
    created_at: int
    retired_at: int | None = None
    published_until: int | None = None


class RotateKeys(Sent):
    """Sign with a new key from now on."""

    reason: Reason
