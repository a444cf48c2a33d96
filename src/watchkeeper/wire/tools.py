"""Tools: their contracts in words, the upstream definitions that are trusted, and quarantine."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from watchkeeper.wire.base import Reason, Sent, Shown
from watchkeeper.wire.decisions import Risk

ToolState = Literal["pinned", "changed", "new", "look-alike", "gone", "unseen", "own"]
"""pinned: the upstream's definition is the trusted one; changed, new, look-alike: it is not, and
calls are refused until a person accepts it (quarantine); gone: the upstream no longer lists it;
unseen: the upstream has not been listed yet; own: agents perform it themselves."""

QuarantineState = Literal["changed", "new", "look-alike"]


class ToolRow(Shown):
    """One tool in a list: under contract, or offered by an upstream without one."""

    name: str
    """The contract's name; for a tool without contract `UPSTREAM/TOOL`, which nobody can call."""
    covered: bool
    """Whether a contract is in force; without one every call is refused."""
    upstream: str | None = None
    """None: agents perform it themselves."""
    upstream_tool: str | None = None
    """What the upstream calls it. Untrusted."""
    access: Literal["read", "write"] | None = None
    risk: Risk | None = None
    does: str = ""
    """The contract's words; without a contract the upstream's, which are untrusted."""
    state: ToolState
    why: str | None = None
    """Why its calls are refused now, in words; None where the definition is no reason."""
    agents: int = 0
    """How many agents' contracts name it."""
    calls_day: int = 0
    """Asked for in the last 24 hours; counting stops at `COUNTED`."""
    denied_day: int = 0
    locks: tuple[str, ...] = ()


COUNTED = 10_000
"""The most calls of one tool that are counted; a figure that high means "at least"."""


class Definition(Shown):
    """A tool as its upstream describes it. Every word is the upstream's, so untrusted."""

    digest: str
    title: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] = Field(default_factory=dict)
    output_schema: dict[str, Any] | None = None
    annotations: dict[str, Any] | None = None
    hidden: bool = False
    """Whether it holds characters that a reader would not see."""
    problem: str | None = None
    """Why it can't be accepted at all, e.g. that it is too large."""


class Clause(Shown):
    """One line of a contract in words."""

    about: str
    """What it is about, e.g. `never`, `approval`, `data`."""
    text: str


class RuleCount(Shown):
    """How often one rule decided in the last 24 hours."""

    verdict: Literal["permit", "hold", "deny"]
    rule: str
    count: int


class ToolDetail(ToolRow):
    """A tool with its contract in words, its definitions, and what was decided of it."""

    clauses: tuple[Clause, ...] = ()
    """The contract in words, in the order a person reads it."""
    contract_yaml: str = ""
    contract_digest: str | None = None
    pinned: Definition | None = None
    """The trusted definition: the only one that agents are shown."""
    pinned_by: str | None = None
    """`person/NAME`, or `plane` where it was pinned at first sight or by a contract."""
    pinned_how: Literal["first sight", "accepted", "contract"] | None = None
    pinned_at: int | None = None
    observed: Definition | None = None
    """What the upstream lists now, where that is not the pinned definition."""
    observed_at: int | None = None
    diff: tuple[str, ...] = ()
    """Pinned against observed; each line begins with `+`, `-` or `!` (a warning). Untrusted."""
    like: str | None = None
    """The known name that it could be mistaken for."""
    rejected_by: str | None = None
    used_by: tuple[str, ...] = ()
    """Agents whose contracts name it."""
    rules: tuple[RuleCount, ...] = ()
    """What decided its newest calls of the last 24 hours (at most `COUNTED`), commonest first."""


class QuarantineRow(Shown):
    """A definition that is not trusted, and what it would replace."""

    upstream: str
    tool: str
    """What the upstream calls it. Untrusted."""
    names: tuple[str, ...]
    """Contracts that are over it; empty: nobody could call it anyway."""
    state: QuarantineState
    why: str
    digest: str
    """Of the definition that is offered now: accept or reject exactly this."""
    pinned: str | None = None
    """Digest of the trusted definition, which stays the one that agents are shown."""
    acceptable: bool = True
    """False: not by a person; `why` says what would be needed."""
    like: str | None = None
    diff: tuple[str, ...] = ()
    """As in `ToolDetail.diff`."""
    since: int
    rejected_by: str | None = None
    rejected_why: str | None = None


class JudgeDefinition(Sent):
    """Accept or reject one definition; refused if the upstream offers another meanwhile."""

    upstream: str = Field(min_length=1, max_length=63)
    tool: str = Field(min_length=1, max_length=200)
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    reason: Reason


class Draft(Shown):
    """Contracts drafted from an upstream's own definitions, for a person to finish."""

    upstream: str
    yaml: str
    """Tool documents with comments on what a person must still decide."""
    drafted: int
    covered: int
    """Tools that have a contract already, which are not drafted again."""
    left_out: tuple[str, ...] = ()
    """Tools that can't be drafted, each with the reason. Untrusted."""
