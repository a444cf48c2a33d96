"""On call: who holds each role now and next, shifts, overrides, gaps. Times in microseconds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from watchkeeper.wire.base import Name, Reason, Sent, Shown

OverrideKind = Literal["add", "remove", "replace"]
"""`replace` counts only while the person it takes off is on call."""
OverrideState = Literal["now", "later", "past", "ended"]

GAP_WEEKS = 4
"""How far ahead gaps are looked for."""
MOST_DAYS = 400
"""The longest time that shifts are listed for."""


class Holder(Shown):
    """A person who is on call, and until when without a break; None: no end is in sight."""

    person: str
    until: int | None = None


class Gap(Shown):
    """A time in which nobody is on call."""

    start: int
    end: int


class ShiftRow(Shown):
    """One person on call from one time to another."""

    person: str
    start: int
    end: int
    by: str
    """What puts them on call: a layer's name, `shift` for a fixed one, an override's id."""


def change_words(kind: OverrideKind, add: str | None, remove: str | None) -> str:
    """Say what an override does."""
    if kind == "replace":
        return f"{add} stands in for {remove}"
    return f"{add} is on call too" if kind == "add" else f"{remove} is off call"


class OverrideRow(Shown):
    """A change of who is on call in one schedule for a time."""

    override: str
    schedule: str
    kind: OverrideKind
    add: str | None = None
    remove: str | None = None
    start: int
    end: int
    state: OverrideState
    reason: str
    created_by: str
    created_at: int
    ended_by: str | None = None
    ended_at: int | None = None

    @property
    def words(self) -> str:
        """What it does."""
        return change_words(self.kind, self.add, self.remove)


class ScheduleRow(Shown):
    """One schedule: who is on call now and who next, what is overridden, where nobody is."""

    schedule: str
    zone: str
    people: tuple[str, ...]
    """Everybody who takes turns in it."""
    roles: tuple[str, ...]
    """The roles that whoever is on call holds."""
    now: tuple[Holder, ...]
    next_at: int | None = None
    """When other people are on call than now; None: not within the next weeks."""
    next: tuple[str, ...] = ()
    """Who is on call from then on; empty where nobody is."""
    overrides: tuple[OverrideRow, ...] = ()
    """Those of now and of later."""
    gaps: tuple[Gap, ...] = ()
    """Within the next four weeks."""


class RoleRow(Shown):
    """One role: who holds it now and who next."""

    role: str
    members: tuple[str, ...]
    """Who holds it always; `owner` runs the plane, `*` is any known person."""
    schedules: tuple[str, ...]
    now: tuple[Holder, ...]
    """Members, and whoever is on call."""
    next_at: int | None = None
    next: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()


class OnCall(Shown):
    """Everything about who is on call."""

    at: int
    roles: tuple[RoleRow, ...]
    schedules: tuple[ScheduleRow, ...]
    sequence: int = 0


class Shifts(Shown):
    """The shifts of one schedule in order of their start, overrides counted."""

    schedule: str
    zone: str
    start: int
    end: int
    shifts: tuple[ShiftRow, ...]
    gaps: tuple[Gap, ...]
    sequence: int = 0


class Who(Shown):
    """Who holds a role at a time."""

    role: str
    at: int
    people: tuple[Holder, ...]


class Overrides(Shown):
    """Overrides, the latest start first."""

    rows: tuple[OverrideRow, ...]
    sequence: int = 0


class AddOverride(Sent):
    """Change who is on call in a schedule for a time."""

    schedule: Name
    kind: OverrideKind
    add: Name | None = None
    """A person; `owner` is whoever runs the plane."""
    remove: Name | None = None
    start: int | None = Field(None, ge=0, le=253_402_300_799_000_000)
    """Absent, or past: from now on."""
    end: int = Field(ge=0, le=253_402_300_799_000_000)
    reason: Reason

    @model_validator(mode="after")
    def _check(self) -> AddOverride:
        if (self.add is not None) != (self.kind != "remove"):
            raise ValueError("add: name who comes on call, with add and replace only")
        if (self.remove is not None) != (self.kind != "add"):
            raise ValueError("remove: name who goes off call, with remove and replace only")
        if self.add is not None and self.add == self.remove:
            raise ValueError("add and remove name the same person")
        if self.start is not None and self.end <= self.start:
            raise ValueError("end: must lie after start")
        return self


class EndOverride(Sent):
    """End an override now, or before it begins."""

    reason: Reason
