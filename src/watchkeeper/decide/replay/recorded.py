"""Recorded decisions, as far as they can be made again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from watchkeeper.core.digest import parse_object
from watchkeeper.core.errors import Invalid
from watchkeeper.decide.contents import recall_contents
from watchkeeper.decide.model import Action
from watchkeeper.identity.model import RunFacts
from watchkeeper.policy.model import Question
from watchkeeper.store.statement import Row
from watchkeeper.wire.decisions import ActionKind, DutyKind, Usage, Verdict

_UNFULFILLED = "does not say it can do"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A decision as it was recorded, with the run it was made in."""

    decision: str
    at: int
    agent: str
    run: str
    kind: ActionKind
    name: str
    verdict: Verdict
    rule: str
    reason: str
    request: str | None
    digest: str
    action: Action | None
    """None where the arguments can't be read again."""
    intact: bool
    """Whether the arguments were kept as they were sent."""
    question: Question | None
    facts: RunFacts | None
    """None where the run is not on record any more."""
    looked: Mapping[str, Any] = field(default_factory=dict)
    """The run's figures that routing looked at."""


def read_recorded(row: Row, run: RunFacts | None) -> Recorded:
    """Return a row of decisions as a decision that can be made again."""
    question = _question(row.question)
    arguments = parse_object(row.arguments)
    action = _action(row, arguments, question) if arguments is not None else None
    return Recorded(
        row.decision,
        row.at,
        row.agent,
        row.run,
        row.kind,
        row.name,
        row.verdict,
        row.rule,
        row.reason,
        row.request,
        row.digest,
        action,
        action is not None and row.call_digest in (None, action.call_digest),
        question,
        run,
        parse_object(row.route_seen) or {},
    )


def _action(row: Row, arguments: dict[str, Any], question: Question | None) -> Action:
    usage = Usage(
        input_tokens=question.input_tokens if question else 0,
        output_tokens=question.output_tokens if question else 0,
    )
    # what a performer can carry out is not recorded, but that it could not is
    fulfils = () if _UNFULFILLED in row.reason else get_args(DutyKind)
    examined = recall_contents(arguments, row.classes_in)
    return Action(row.kind, row.name, arguments, usage, fulfils=fulfils, examined=examined)


def _question(text: str | None) -> Question | None:
    try:
        return Question.read(text) if text else None
    except Invalid:
        return None
