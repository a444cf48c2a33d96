"""Questions about what happened, their answers, and the comparison of two runs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from watchkeeper.wire.base import Shown
from watchkeeper.wire.data import DataClass
from watchkeeper.wire.traces import SpanRow

Measure = Literal["cost", "calls", "refusals", "errors"]
"""What may spike: micro-dollars, permitted actions, refused ones, those that did not succeed."""
Part = Literal["version", "model", "tool", "rule"]
"""What a spike is split by: agents with their versions, always; besides, what they called, or
what refused them."""
Basis = Literal["retrieval", "memory", "tool", "model", "delegation", "approval", "reported"]
"""What an output may rest on."""
BUILT_IN = frozenset({"list", "spike", "touched", "rested-on"})
"""What `ask` knows by itself; no document's question is called so."""
LONGEST_SECONDS = 92 * 86_400
"""The longest period that is looked at."""
GroupBy = Literal[
    "agent", "version", "run", "kind", "operation", "subject", "status", "verdict", "outcome",
    "rule", "principal", "source", "hour", "day",
]  # fmt: skip
"""What steps are counted by."""
QuestionOrder = Literal["steps", "errors", "refusals", "cost", "tokens", "slowest", "newest"]
"""What comes first, the most of it."""
Change = Literal["same", "changed", "only_a", "only_b"]


class Asked(Shown):
    """One question that the plane knows how to answer."""

    name: str
    asks: str
    parameters: tuple[str, ...]
    example: str
    saved: bool = False
    """Whether a document asks it, which anybody may write; else the plane has it itself."""


class Questions(Shown):
    """Every question."""

    rows: tuple[Asked, ...]


class Answer(Shown):
    """What every answer says of itself."""

    since: int | None
    until: int
    """The period that was looked at: from, up to and without, in microseconds."""
    counted: str
    """What was counted, in words."""
    missing: tuple[str, ...]
    """What is not in it, or cannot be known."""
    sequence: int = 0
    """Newest entry of the ledger that it reflects."""


class SpikePart(Shown):
    """What one version of an agent adds, in the period and in the one before."""

    agent: str
    version: int | None
    what: str | None
    """The model, tool or rule, where it was asked by that."""
    before: int
    during: int
    rise: int
    share: float | None
    """Of all that rose, how much; None where it did not rise."""
    calls_before: int
    calls: int
    runs: int
    """Runs that had part in it, in the period."""


class Spike(Answer):
    """Which versions of which agents made something rise."""

    measure: Measure
    by: Part
    before_since: int
    """Where the period before begins; it ends with `since`."""
    before: int
    during: int
    rows: tuple[SpikePart, ...]
    """By what they add to the rise, the largest first."""
    left_out: int = 0
    """Parts that are not among `rows`; they are in `before` and `during`."""


class Touch(Shown):
    """One time that a class of data passed."""

    key: str
    run: str | None
    name: str
    at: int


class Toucher(Shown):
    """An agent in whose calls a class of data passed."""

    agent: str
    versions: tuple[int, ...]
    actions: int
    runs: int
    first: int
    last: int
    examples: tuple[Touch, ...]


class Touched(Answer):
    """Which agents touched a class of data."""

    data: DataClass
    rows: tuple[Toucher, ...]


class Group(Shown):
    """What there is of one group of steps."""

    values: tuple[str | None, ...]
    """What it is of, in the order of `group_by`."""
    steps: int
    runs: int
    errors: int
    """Steps that did not go well, refusals apart."""
    refusals: int
    cost_micros: int
    """Of calls; what runs sum up is in their calls."""
    tokens: int
    longest_ms: int
    first: int
    last: int


class Saved(Answer):
    """The answer to a question that a document asks."""

    name: str
    asks: str
    where: dict[str, str]
    """What the steps had to be, the document's own and what was asked besides."""
    group_by: tuple[GroupBy, ...]
    order: QuestionOrder
    groups: tuple[Group, ...] = ()
    steps: tuple[SpanRow, ...] = ()
    """Where nothing is grouped."""
    more: bool = False
    """Whether there are more than these."""


class Rest(Shown):
    """One thing that an output rests on, or may."""

    basis: Basis
    key: str
    run: str | None
    agent: str
    name: str
    at: int
    outcome: str | None
    rule: str | None
    source: Literal["plane", "agent"]
    digests: dict[str, str] = Field(default_factory=dict)
    """By what they are of: arguments, result, prompt, answer."""
    request: str | None = None
    by: str | None = None
    """Who decided, of an approval."""
    data_source: str | None = None
    """What was retrieved from."""


class Under(Shown):
    """A run that something happened in: whose, and under what."""

    run: str
    agent: str
    version: int | None
    principal: str | None
    contract: str | None
    """The digest of the contract of that version, as far as it is kept."""
    epoch: int | None
    """The newest lock that was known when it was last decided."""
    rules: tuple[str, ...]
    """What decided its actions."""
    policies: str | None = None
    """The digest of all policies in force when it was last decided, sealed with the decision."""


class RestedOn(Answer):
    """What a run's output, or one step of it, rested on."""

    key: str
    run: str
    name: str
    runs: tuple[Under, ...]
    """Its run and those above it, the nearest first."""
    policies: dict[str, str]
    """Policy sets applied by then, each with the digest of its text."""
    rows: tuple[Rest, ...]
    """By time, the latest first."""
    left_out: int = 0


class Figures(Shown):
    """One of two runs that are compared."""

    run: str
    agent: str
    version: int | None
    outcome: str | None
    started: int
    took_ms: int | None
    cost_micros: int
    tokens: int
    calls: int
    refusals: int
    steps: int
    """How many of its steps were compared."""
    more: bool = False
    """Whether it has further ones."""


class Step(Shown):
    """A step of one of them."""

    key: str
    name: str
    verdict: str | None
    outcome: str | None
    rule: str | None
    took_ms: int | None
    cost_micros: int
    tokens: int


class Compared(Shown):
    """What stands in one place of both, or of one."""

    change: Change
    a: Step | None
    b: Step | None
    differs: tuple[str, ...] = ()
    """What differs: name, verdict, outcome, rule, cost, time. Cost and time are told from twice
    as much on."""


class Comparison(Shown):
    """Two runs side by side, step by step."""

    a: Figures
    b: Figures
    rows: tuple[Compared, ...]
    missing: tuple[str, ...] = ()
    sequence: int = 0
