"""How documents refer to what is elsewhere: secrets by where they are, places by URL."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from watchkeeper.core.addresses import place_of
from watchkeeper.core.errors import Invalid

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
