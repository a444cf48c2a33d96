"""Looking at a run again: its steps as they were, what others would decide, and forks of it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from watchkeeper.wire.agents import RunOpened
from watchkeeper.wire.base import Reason, Sent, Shown
from watchkeeper.wire.budgets import Measure, Period
from watchkeeper.wire.decisions import ActionKind, Verdict
from watchkeeper.wire.models import Endpoint
from watchkeeper.wire.traces import ContentRow

Again = Literal["decided", "kept", "skipped"]
"""`kept`: a refusal of what is not decided again stands; `skipped`: too little was recorded."""


class ReplayedStep(Shown):
    """One step of a run, as it was decided and as it would be. Money in micro-dollars."""

    step: int
    """Its place in the run, from 1."""
    decision: str
    at: int
    kind: ActionKind
    name: str
    before: Verdict
    before_rule: str
    before_reason: str
    how: Again
    after: Verdict | None
    """None where that can't be known."""
    after_rule: str | None
    after_reason: str | None
    why: str | None = None
    """Why it was not decided again, or on less than was known then."""
    differs: bool = False
    """Whether the verdict is another."""
    supposed: bool = False
    """Whether it comes after one that differs: its agent would have been told something else
    then, and might have done something else here."""
    cost_before: int = 0
    cost_after: int | None = 0
    """None: it did not run then, so nobody knows what it would have cost."""
    model_after: str | None = None
    """The model that would have answered, where it is another."""


class ReplayedRun(Shown):
    """A whole run decided again, step by step. Money in micro-dollars."""

    run: str
    steps: tuple[ReplayedStep, ...]
    left_out: int = 0
    """Steps that are counted and not listed: the run has more than are shown."""
    diverges_at: int | None = None
    """The first step whose verdict would be another."""
    cost_before: int = 0
    cost_after: int = 0
    """Of steps that ran then and would run; what would be refused costs nothing."""
    blocked: int = 0
    """Steps that ran, and would have been refused or held."""
    allowed: int = 0
    """Steps that were refused or held, and would have run."""


class BudgetThen(Shown):
    """How full one budget over a run was before a step; amounts in the unit of the measure."""

    budget: str
    measure: Measure
    period: Period
    used: int
    cap: int
    """As it is now."""
    counted_at: int | None = None
    """When the plane had last written down what was used; None: counted for this step."""


class StepRow(Shown):
    """One step of a run, as it happened. Money in micro-dollars."""

    step: int
    decision: str
    at: int
    kind: ActionKind
    name: str
    verdict: Verdict
    rule: str
    reason: str
    request: str | None
    outcome: str | None
    """None: it did not run, or nobody said yet how it ended."""
    took_ms: int | None
    error: str | None
    cost_micros: int
    tokens: int
    spent_before: int
    """What the run had cost before it."""
    tokens_before: int
    version: int
    """Of the contract that was in force."""


class StepDetail(StepRow):
    """One step with what was known at it."""

    run: str
    agent: str
    steps: int
    """How many the run has."""
    replay_of: str | None = None
    """The run that this one replays."""
    model: str | None = None
    """What answered, where it is a model call."""
    policies: dict[str, Any] | None = None
    """What was put to the policies."""
    would: tuple[str, ...] = ()
    """What policy sets that were not enforced would have said otherwise."""
    route: str | None = None
    """Why a model call went where it went."""
    contents: tuple[ContentRow, ...] = ()
    budgets: tuple[BudgetThen, ...] = ()
    notes: tuple[str, ...] = ()
    """What was not kept, in words."""


class RunSteps(Shown):
    """The steps of a run, oldest first."""

    run: str
    agent: str
    replay_of: str | None = None
    rows: tuple[StepRow, ...]
    next: int | None = None
    """The step to continue after, where there are more."""


_STEP = r"^(?:[1-9][0-9]{0,6}|dec_[a-z0-9]{1,60})$"
_LONGEST_RESULT = 256 * 1024


class Fork(Sent):
    """Ask a model once more what it was asked in a run, with another result of a tool.

    `at` is a step's number or decision: of a tool call whose result `result` replaces in the
    first model call after it that has it; or of a model call, which is sent as it was.
    """

    at: str = Field(pattern=_STEP)
    result: str | None = Field(None, max_length=_LONGEST_RESULT)
    """What the tool is now said to have answered."""
    live_model: bool = False
    """Whether it is sent; else it is only said what would be."""
    reason: Reason


class Said(Shown):
    """What a model answered: its words, and the calls of tools that it asked for."""

    text: str = ""
    calls: tuple[str, ...] = ()
    """`NAME ARGUMENTS`, in the order they were asked for."""


class ForkResult(Shown):
    """What a model said to a changed recording. A replay: no tool was called, and nothing of it
    reached the run that was recorded."""

    replay: Literal[True] = True
    run: str | None
    """The run of its own that it was made in, which has ended; None: nothing was sent."""
    of_run: str
    at: str
    """The decision of the step it forks at."""
    asked: str
    """The decision of the model call that was sent again."""
    decision: str | None
    """What was decided on it in its own run; None: it was refused before that."""
    model: str
    endpoint: Endpoint
    replaced: int
    """How many results in it were replaced."""
    sent_bytes: int
    """Of the call, as it was sent or would be."""
    answered: bool
    """Whether a model answered; where something was sent and none did, `error` says why."""
    error: str | None = None
    then: Said | None = None
    """What was said then; None: that was not kept."""
    now: Said | None = None
    differs: bool | None = None
    """None where there is nothing to compare."""
    cost_micros: int = 0
    notes: tuple[str, ...] = ()


class Play(Sent):
    """Have an agent go through a recorded run again: its calls are answered from the recording.

    `at` is a step's number or decision, of a tool call that `result` is now to have answered.
    """

    at: str | None = Field(None, pattern=_STEP)
    result: str | None = Field(None, max_length=_LONGEST_RESULT)
    live_model: bool = False
    """Whether model calls that are not in the recording are sent; tools never are called."""
    partly: bool = False
    """Whether to begin though not all that the run asked can be answered."""
    reason: Reason


class PlaybackOpened(RunOpened):
    """A replay run for an agent, whose token opens nothing but its recording."""

    replay: Literal[True] = True
    of_run: str
    steps: int
    """How many steps of the recorded run can be played."""
    missing: tuple[str, ...] = ()
    """What can't be, in words."""
    notes: tuple[str, ...] = ()


Played = Literal["recorded", "told otherwise", "changed", "live", "refused"]
"""How a call was answered: as it was then; as then, though it tells of other results of tools;
with the changed result; by a model; not at all, for the recording holds no answer."""


class PlayedCall(Shown):
    """One call that an agent made in a replay, and what it would be decided as now."""

    number: int
    """Its place among them, from 1."""
    at: int
    kind: ActionKind
    name: str
    how: Played
    step: int | None
    """The recorded step that answered it, or whose place it took."""
    decision: str | None
    """Of that step; of a call that went to a model, its own."""
    verdict: Verdict
    rule: str
    reason: str
    why: str | None = None
    """Where it differs from what was recorded, or why there is no answer."""
    asked: str | None = None
    """What a tool was to be called with that the recording does not have, as far as is kept."""


class LeftOut(Shown):
    """A recorded step that the agent did not come to again."""

    step: int
    decision: str
    kind: ActionKind
    name: str


class Playback(Shown):
    """What an agent did in a replay of one of its runs."""

    replay: Literal[True] = True
    run: str
    of_run: str
    agent: str
    state: Literal["open", "ended"]
    expires_at: int
    changed: int | None
    """The step with the changed result."""
    live_model: bool
    calls: tuple[PlayedCall, ...] = ()
    steps: int
    """How many the recorded run has to be played."""
    played: int = 0
    """How many of them answered a call."""
    diverged_at: int | None = None
    """The first of the calls that is not in the recording; None: none was other than then, but
    recorded steps may be left out."""
    left_out: tuple[LeftOut, ...] = ()
    left_out_more: int = 0
    """How many more there are than are listed."""
    notes: tuple[str, ...] = ()
