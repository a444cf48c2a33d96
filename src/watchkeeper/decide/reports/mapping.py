"""The mapping of controls to queries, as `controls.yaml` in this room has it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from watchkeeper.decide.reports.queries import Query

_FILE = Path(__file__).with_name("controls.yaml")


class Claim(BaseModel):
    """What is claimed of a control, and the queries that show it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    claim: str
    shown_by: tuple[str, ...] = Field(min_length=1)
    least: int = 1
    """How much each query has to find."""
    none_of: str = ""
    """What the query counts breaks the claim; it is shown where this query finds something, and of
    that the other one nothing."""


class Control(BaseModel):
    """One control of a framework."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    title: str
    claims: tuple[Claim, ...] = ()
    gaps: tuple[str, ...] = ()
    """What the plane does not do for it, in words."""


class Framework(BaseModel):
    """A framework with the controls of it that a plane has something to say on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    title: str
    note: str = ""
    controls: tuple[Control, ...]


class ControlMap(BaseModel):
    """The whole mapping."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    queries: dict[str, Query]
    frameworks: tuple[Framework, ...]

    @model_validator(mode="after")
    def _names_queries(self) -> Self:
        named = {
            name
            for framework in self.frameworks
            for control in framework.controls
            for claim in control.claims
            for name in (*claim.shown_by, claim.none_of)
            if name
        }
        if named != self.queries.keys():
            odd = ", ".join(sorted(named ^ self.queries.keys()))
            raise ValueError(f"claims name no such query, or no claim names it: {odd}")
        return self


@cache
def control_map() -> ControlMap:
    """Return the mapping that ships with the program."""
    return ControlMap.model_validate(yaml.safe_load(_FILE.read_text(encoding="utf-8")))
