"""Documents about the watch: schedules, risk classes, and where people are told."""

from __future__ import annotations

import itertools
import re
from datetime import datetime, time
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from watchkeeper.core.errors import Invalid
from watchkeeper.registry.parts import Part, Zone
from watchkeeper.registry.references import CredentialReference, Url
from watchkeeper.wire.base import Name
from watchkeeper.wire.decisions import Risk
from watchkeeper.wire.people import PersonName
from watchkeeper.wire.quorum import read_quorum

_WALL = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d|24:00")


def _check_wall(value: str) -> str:
    if not _WALL.fullmatch(value):
        raise ValueError("write a wall-clock time as `2026-01-05T09:00`, without an offset")
    if not 1970 <= datetime.fromisoformat(value).year < 2200:
        raise ValueError("write a year from 1970 to 2199")
    return value.replace(" ", "T")


def _quoted(value: object) -> object:
    # YAML reads 15:00 as 900, and who writes 900 may mean 9:00
    if isinstance(value, int):
        raise ValueError('write a time of day in quotes, as "15:00"')
    return value


def _check_clock(value: str) -> str:
    if not _CLOCK.fullmatch(value):
        raise ValueError("write a time of day as `09:00`; the end of the day is `24:00`")
    if value != "24:00":
        time.fromisoformat(value)
    return value


def _check_quorum(value: str) -> str:
    try:
        read_quorum(value)
    except Invalid as error:
        raise ValueError(f"{error.message}; {error.remedy}") from error
    return value


def roles_in(quorum: str | None) -> tuple[str, ...]:
    """Return the roles that a quorum names, in order."""
    return tuple(role for role, _ in read_quorum(quorum)) if quorum else ()


WallTime = Annotated[str, AfterValidator(_check_wall)]
"""Date and time of day on the wall of the layer's zone."""
TimeOfDay = Annotated[str, BeforeValidator(_quoted), AfterValidator(_check_clock)]
QuorumText = Annotated[str, Field(max_length=600), AfterValidator(_check_quorum)]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
RotationKind = Literal["hourly", "daily", "weekly", "monthly"]


class Restriction(Part):
    """When in the week a layer counts: on these days, from one time of day to another.

    An end at or before the start lies on the next day.
    """

    days: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    start: TimeOfDay = Field("00:00", alias="from")
    end: TimeOfDay = Field("24:00", alias="to")


class Layer(Part):
    """People who take turns; a later layer takes over from earlier ones where it counts."""

    name: Name
    people: tuple[Name, ...] = Field(min_length=1, max_length=100)
    """`owner` is the person who runs the plane."""
    rotation: RotationKind = "weekly"
    every: int = Field(1, ge=1, le=366)
    """So many hours, days, weeks or months a turn."""
    starts: WallTime
    """The first hand-over; later ones are at the same time on the wall."""
    ends: WallTime | None = None
    zone: Zone | None = None
    """Absent: the schedule's."""
    restrictions: tuple[Restriction, ...] = Field((), max_length=20)
    """Empty: always."""

    @model_validator(mode="after")
    def _check(self) -> Layer:
        if self.ends is not None and self.ends <= self.starts:
            raise ValueError("ends: must lie after starts")
        return self


class FixedShift(Part):
    """One person from one wall-clock time to another, as an imported calendar has it."""

    person: Name
    start: WallTime = Field(alias="from")
    end: WallTime = Field(alias="to")
    zone: Zone | None = None

    @model_validator(mode="after")
    def _check(self) -> FixedShift:
        if self.end <= self.start:
            raise ValueError("to: must lie after from")
        return self


class Schedule(Part):
    """Who is on call when; a role that names it is held by whoever is."""

    name: Name
    zone: Zone = "UTC"
    layers: tuple[Layer, ...] = Field((), max_length=20)
    shifts: tuple[FixedShift, ...] = Field((), max_length=2000)
    """Take over from every layer."""

    @model_validator(mode="after")
    def _check(self) -> Schedule:
        if not self.layers and not self.shifts:
            raise ValueError("layers: a schedule needs a layer, or shifts")
        names = [layer.name for layer in self.layers]
        if len(set(names)) < len(names):
            raise ValueError("layers: name each layer once")
        return self


class EscalationLevel(Part):
    """Who is asked next, and how long after the request was made (or the repeat began)."""

    role: Name | None = None
    person: PersonName | None = None
    channel: Name | None = None
    """Is told; who may decide stays as it was."""
    after_seconds: int = Field(0, ge=0, le=30 * 86_400)

    @model_validator(mode="after")
    def _check(self) -> EscalationLevel:
        if not (self.role or self.person or self.channel):
            raise ValueError("name a role, a person or a channel")
        if self.role and self.person:
            raise ValueError("name a role or a person; make the other a level of its own")
        return self


class Escalation(Part):
    """An escalation policy: levels in order, reminders between them, and what comes after."""

    name: Name
    levels: tuple[EscalationLevel, ...] = Field(min_length=1, max_length=10)
    remind_every_seconds: int | None = Field(None, ge=1, le=7 * 86_400)
    repeat: int = Field(0, ge=0, le=9)
    """How often it begins again at its first level once the last has had its time."""
    repeat_after_seconds: int | None = Field(None, ge=1, le=7 * 86_400)
    """How long after the last level it begins again; absent: the pause before the last level."""
    acknowledge_seconds: int = Field(900, ge=5, le=86_400)
    """How long "I am on it" holds the escalation up."""
    skip_if_empty: bool = True
    """Whether a level that nobody holds now is passed over at once."""

    @field_validator("levels")
    @classmethod
    def _rise(cls, value: tuple[EscalationLevel, ...]) -> tuple[EscalationLevel, ...]:
        delays = [level.after_seconds for level in value]
        if delays[0] != 0 or any(b <= a for a, b in itertools.pairwise(delays)):
            raise ValueError("after_seconds must start at 0 and rise from level to level")
        if value[0].role is None and value[0].person is None:
            raise ValueError("the first level needs a role or a person: somebody has to decide")
        return value

    @model_validator(mode="after")
    def _check_repeat(self) -> Escalation:
        if self.repeat and len(self.levels) == 1 and self.repeat_after_seconds is None:
            raise ValueError("repeat: with one level it needs repeat_after_seconds")
        return self


class RiskClass(Part):
    """What deciding an action of one risk class takes. A critical one always needs approval."""

    name: Risk
    approval: Literal["as-asked", "always"] = "as-asked"
    """always: every action of the class needs it; as-asked: where contract or policy ask."""
    role: Name | None = None
    """Who is asked where nothing else names a role."""
    quorum: QuorumText | None = None
    escalation: Name | None = None
    sla_seconds: int | None = Field(None, ge=5, le=30 * 86_400)
    """The most time there is to decide."""
    grant_seconds: int | None = Field(None, ge=5, le=86_400)
    """How long an approval may wait to be used."""
    signed: bool = False
    """Whether each vote needs the approver's SSH signature."""
    reason: bool = False
    """Whether an approval needs a reason too."""
    view_seconds: float = Field(0, ge=0, le=600)
    """How long an approver must have had it on screen."""
    read_to_end: bool = False
    """Whether the console lets it be approved only once its end was on screen."""
    break_glass: bool = True
    """Whether it may be done alone in an emergency, and reviewed after."""
    points: int | None = Field(None, ge=0, le=10_000)
    """What one call counts in budgets of risk points; absent: 1, 3, 10 or 30 by class."""


class Webhook(Part):
    """An address that is told, signed (Standard Webhooks), how requests end."""

    name: Name
    url: Url
    secret: CredentialReference | None = None
    """Where its `whsec_…` secret is (HMAC-SHA256); absent: signed with the plane's own key."""
    signing: Literal["hmac", "ed25519"] = "hmac"
    allow_private: bool = False
    """Whether its host name may resolve to an address inside a private network."""

    @model_validator(mode="after")
    def _check(self) -> Webhook:
        if (self.signing == "hmac") != (self.secret is not None):
            raise ValueError("secret: hmac needs one, ed25519 uses the plane's own key")
        return self


class Channel(Part):
    """A way to tell people: mail, chat, a pager. One URL of the notification library."""

    name: Name
    url: CredentialReference
    """Where its URL is kept, as with credentials: it holds passwords."""
    allow_private: bool = False
    most_per_hour: int = Field(30, ge=1, le=10_000)
    """More than so many an hour are gathered in one."""
