"""Cases: what policies and contracts are expected to say, kept beside them.

A `*.cases.yaml` file is read with a directory and never put in force.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from watchkeeper.core.errors import Invalid
from watchkeeper.registry.parts import Part
from watchkeeper.registry.source import read_yaml, validate
from watchkeeper.wire.base import Name
from watchkeeper.wire.decisions import Usage, Verdict

SUFFIXES = (".cases.yaml", ".cases.yml")
MOST_CASES = 5000
"""In one directory."""


class Given(Part):
    """An action, and what is so when it is asked for."""

    agent: Name
    tool: Name | None = None
    model: Name | None = None
    arguments: dict[str, Any] = Field(default_factory=dict)
    environment: Name = "production"
    on_behalf_of: str | None = Field(None, max_length=200)
    estimate: Usage = Usage()
    """The most that a model call may use."""
    answered_by: Name | None = None
    """The model that the run last had an answer from."""
    approvals: tuple[Name, ...] = ()
    """Roles that have approved exactly this action."""

    @model_validator(mode="after")
    def _check(self) -> Given:
        if (self.tool is None) == (self.model is None):
            raise ValueError("name one of: tool, model")
        return self

    @property
    def kind(self) -> Literal["tool", "model"]:
        """What is asked for."""
        return "model" if self.tool is None else "tool"

    @property
    def name(self) -> str:
        """Its name."""
        return self.tool or self.model or ""


class Expect(Part):
    """What the decision must be; what is not said may be anything."""

    verdict: Verdict
    rule: Annotated[str, Field(max_length=200)] | None = None
    """The rule that decides; of an approved action, the rule that asked."""
    role: Name | None = None
    """Who is asked, of a held action."""

    @model_validator(mode="after")
    def _check(self) -> Expect:
        if self.role is not None and self.verdict != "hold":
            raise ValueError("role: only a held action has somebody who is asked")
        return self


class Case(Part):
    """One action and what must be decided of it."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    given: Given
    expect: Expect


class _CaseFile(Part):
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Placed:
    """A case and where it stands."""

    case: Case
    where: str
    """`path:line`."""


def is_cases(path: str) -> bool:
    """Tell whether a file holds cases, by its name."""
    return path.endswith(SUFFIXES)


def read_cases(files: Sequence[tuple[str, str]]) -> list[Placed]:
    """Return the cases of every (path, text) that holds some.

    Raises `Invalid` that names file, line and field of a mistake, and for a name used twice
    in one file: who reads a failure must find its case.
    """
    found: list[Placed] = []
    for path, text in files:
        if is_cases(path):
            found += _read_file(path, text)
    if len(found) > MOST_CASES:
        raise Invalid(f"more than {MOST_CASES:,} cases", where=found[MOST_CASES].where)
    return found


def _read_file(path: str, text: str) -> list[Placed]:
    found: list[Placed] = []
    names: dict[str, str] = {}
    for written in read_yaml(path, text):
        if not isinstance(written.value, dict) or set(written.value) != {"cases"}:
            raise Invalid("expected one root key, cases", where=f"{path}:{written.line}")
        file = validate(_CaseFile, written.value, (), path, written)
        for index, case in enumerate(file.cases):
            where = f"{path}:{written.lines.get(('cases', index), written.line)}"
            if case.name in names:
                raise Invalid(
                    f"the case {case.name!r} stands at {names[case.name]} too", where=where
                )
            names[case.name] = where
            found.append(Placed(case, where))
    return found
