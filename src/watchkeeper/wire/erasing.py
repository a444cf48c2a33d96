"""Erasing a person's data from what the plane keeps."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from watchkeeper.wire.base import Name, Reason, Sent, Shown

ERASED, NOT_KEPT = "[erased]", "[not kept]"
"""What stands where a value was."""
ERASED_JSON = '{"erased":true}'
"""What stands where a JSON document was that told of a person."""
PersonName = Annotated[
    str, StringConstraints(min_length=2, max_length=200, strip_whitespace=True)
]  # fmt: skip
"""What a person is called: an address, a number, or the name that runs are opened for."""


class SeekSubject(Sent):
    """Whose data is looked for; `also` are other names of the same person."""

    subject: PersonName
    also: tuple[PersonName, ...] = Field((), max_length=100)


class EraseSubject(SeekSubject):
    """Destroy it. `despite` names incidents that hold some of it, and go without."""

    reason: Reason
    despite: tuple[str, ...] = Field((), max_length=20)


class SubjectData(Shown):
    """What there is of a person, or was."""

    values: int
    """Values that entries of the ledger commit to."""
    runs: int
    """Runs on the person's behalf."""
    rows: dict[str, int]
    """Rows that hold something, by table."""
    files: tuple[str, ...]
    """Logs of the plane that hold a name."""
    entries: int
    """Entries of the ledger that hold a name themselves: these stay."""
    held_by: tuple[str, ...]
    """Incidents that hold some of it as evidence."""
    open_runs: tuple[str, ...]
    open_requests: tuple[str, ...]
    erasure: str | None = None
    sequence: int | None = None
    """The entry that says it was erased."""


class ErasureRow(Shown):
    """An erasure: begun with the keys' end, and ended when no copy was left."""

    erasure: str
    subject: str
    by: str
    began_at: int
    began: int
    """The entry that says that the keys are destroyed."""
    rows: int
    """How many rows were written over or dropped by now."""
    ended_at: int | None = None
    """None while it goes on."""
    ended: int | None = None


class PlaceHold(Sent):
    """Keep something from every purge and erasure until it is lifted."""

    hold: Name
    people: tuple[PersonName, ...] = Field((), max_length=100)
    agents: tuple[Name, ...] = Field((), max_length=100)
    runs: tuple[str, ...] = Field((), max_length=100)
    requests: tuple[str, ...] = Field((), max_length=100)
    everything: bool = False
    reason: Reason

    @model_validator(mode="after")
    def _holds_something(self) -> Self:
        if not (self.people or self.agents or self.runs or self.requests or self.everything):
            raise ValueError("say what it holds")
        return self


class LiftHold(Sent):
    """Hold it no more."""

    reason: Reason


class HoldRow(Shown):
    """A legal hold."""

    hold: str
    holds: tuple[str, ...]
    reason: str
    placed_by: str
    placed_at: int
    lifted_by: str | None = None
    lifted_at: int | None = None
    """None while it is in force."""
    lifted_why: str | None = None
    unknown: tuple[str, ...] = ()
    """Told once, to who placed it: people of whom nothing was kept until then."""


class SubjectRow(Shown):
    """A person whose data the vault holds, or held."""

    subject: str
    name: str | None
    """None once erased."""
    since: int
    values: int
    erased_at: int | None = None
