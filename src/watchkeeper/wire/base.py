"""The base of every wire model, and the page that lists are read in."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

NAME = r"[a-z0-9][a-z0-9._-]{0,62}"
"""The form of every name, as a regular expression to be matched whole."""
NAME_FORM = "1 to 63 lower-case letters, digits, dots, dashes and underscores"
Name = Annotated[str, StringConstraints(pattern=f"^{NAME}$")]
"""The name of an agent, tool, role, budget, model, upstream or provider."""

Reason = Annotated[str, StringConstraints(min_length=1, max_length=4096, strip_whitespace=True)]
"""What a person says of a decision; kept in the ledger."""

ShortText = Annotated[str, StringConstraints(max_length=2000)]


def problem_words(message: object) -> str:
    """Return what a model's checker says of a value, without what speaks of Python."""
    said = str(message).removeprefix("Value error, ")
    for subject in ("Input should", "String should", "Value should"):
        said = said.replace(subject, "should")
    said = said.replace(f"should match pattern '^{NAME}$'", f"should be {NAME_FORM}")
    return said.replace("should have at least 1 character", "is empty")


class Sent(BaseModel):
    """A body that a caller sends: unknown fields are errors, so a misspelling changes nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Shown(BaseModel):
    """A body that the plane answers with: unknown fields are passed over, so planes can grow."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Problem(Shown):
    """An error as every route answers it (RFC 9457 members plus the rule that fired).

    `code` is stable and machine-readable; `remedy` says what to do; `rule` names the contract
    line, policy, budget or lock that refused; `where` points at file, line and field.
    """

    code: str
    message: str
    remedy: str | None = None
    rule: str | None = None
    where: str | None = None
    status: int = 400
