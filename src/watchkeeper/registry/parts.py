"""What documents of every kind are built from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from watchkeeper.core.errors import Invalid
from watchkeeper.core.money import micros_from_number
from watchkeeper.core.wall import zone_names


def _read_dollars(value: Any) -> int:
    try:
        return micros_from_number(value)
    except Invalid as error:
        raise ValueError(error.message) from error


Micros = Annotated[int, BeforeValidator(_read_dollars), Field(ge=0)]
"""Written in dollars, kept in micro-dollars."""
Text = Annotated[str, Field(max_length=2000)]


def _check_zone(value: str) -> str:
    if value not in zone_names():
        raise ValueError(f"{value!r} is no time zone; write one as `Europe/Berlin` or `UTC`")
    return value


Zone = Annotated[str, Field(max_length=60), AfterValidator(_check_zone)]
"""A zone of the IANA database."""


class Part(BaseModel):
    """A part of a governed document: an unknown field is an error, never passed over."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RateLimit(Part):
    """So many calls in a time, of which `burst` may come at once (all of them when absent)."""

    calls: int = Field(ge=1, le=1_000_000)
    per: Literal["second", "minute", "hour", "day"] = "minute"
    burst: int | None = Field(None, ge=1, le=1_000_000)

    @property
    def seconds(self) -> int:
        """How long the time is, in seconds."""
        return {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}[self.per]

    @property
    def words(self) -> str:
        """Say it: `10 calls a minute, 2 at once`."""
        said = f"{self.calls} {'call' if self.calls == 1 else 'calls'} a {self.per}"
        if self.burst is not None and self.burst != self.calls:
            said += f", {self.burst} at once"
        return said
