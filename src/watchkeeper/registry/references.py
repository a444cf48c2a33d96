"""How documents refer to what is elsewhere: secrets by where they are, places by URL."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from watchkeeper.core.addresses import place_of
from watchkeeper.core.errors import Invalid
from watchkeeper.registry.parts import Part

CredentialReference = Annotated[
    str,
    Field(
        max_length=500,
        pattern=r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+|sealed:[a-z0-9][a-z0-9._-]{0,62}"
        r"|vault:[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+#[A-Za-z0-9._-]+)$",
    ),
]
"""Where a secret is: a variable or file of the plane, its sealed store, or a vault's field."""


def _check_url(value: str) -> str:
    try:
        place_of(value)
    except Invalid as error:
        raise ValueError("; ".join(filter(None, (error.message, error.remedy)))) from error
    return value


Url = Annotated[str, Field(max_length=500, pattern=r"^https?://"), AfterValidator(_check_url)]
"""Where the plane sends requests: one reading only, and no place that nothing may be sent to."""


class ClientCredentials(Part):
    """An OAuth client of the plane's own (RFC 6749, 4.4) that fetches tokens for an upstream."""

    token_url: Url
    client_id: str = Field(min_length=1, max_length=200)
    client_secret: CredentialReference
    scope: str | None = Field(None, max_length=500)
    resource: str | None = Field(None, max_length=500)


class MintedToken(Part):
    """A JWT that the plane signs for each call: who acts, for whom, in which run."""

    audience: str = Field(min_length=1, max_length=500)
    ttl_seconds: int = Field(60, ge=5, le=3600)


class CredentialUse(Part):
    """A credential and where it is injected; agents never hold it.

    It comes from one place: a reference, an OAuth client, or the plane's own signature.
    """

    source: CredentialReference | None = Field(None, alias="from")
    oauth: ClientCredentials | None = None
    minted: MintedToken | None = None
    header: str = Field("Authorization", max_length=100)
    prefix: str = Field("Bearer ", max_length=40)
    environment: str | None = Field(None, max_length=100)
    """For stdio upstreams: the variable the child process gets it in."""

    @model_validator(mode="after")
    def _check(self) -> CredentialUse:
        if sum(one is not None for one in (self.source, self.oauth, self.minted)) != 1:
            raise ValueError("name one of: from, oauth, minted")
        return self
