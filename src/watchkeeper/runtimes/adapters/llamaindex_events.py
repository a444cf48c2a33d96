"""What a workflow's events tell of it (llama-agents-server 0.8): whether it waits, and for what.

Pure. A question is outstanding if no step has begun since it was put: an answer always begins
one. So none is taken for open that somebody has answered already; one that was put while other
steps went on is missed, and then only the waiting shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from watchkeeper.runtimes.adapters.reading import (
    arguments_in,
    at,
    object_in,
    rows_in,
    text_in,
    word_in,
)
from watchkeeper.tools.upstreams.events import data_of

ASK = "InputRequiredEvent"
ANSWER = "HumanResponseEvent"
_IDLE = "WorkflowIdleEvent"
_STEP = "StepStateChanged"
_PLUMBING = frozenset({"StartEvent", "StopEvent", ASK})
_LARGEST_SEQUENCE = 2**53


@dataclass(frozen=True, slots=True)
class Question:
    """An event that asks for a person's word, by its number in the workflow's stream."""

    sequence: int
    kind: str
    text: str
    arguments: Mapping[str, Any] | None
    """None where it is too large, or has no form, to be shown whole."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the events up to `sequence` tell."""

    sequence: int = -1
    idle: bool = False
    first: Question | None = None
    more: bool = False
    """Whether more than one question is outstanding."""

    @property
    def question(self) -> Question | None:
        """The question that waits; None where nobody could say which an answer would be for."""
        return self.first if self.idle and not self.more else None


def take_events(told: Told, events: Iterable[bytes]) -> Told:
    """Return what is told once these server-sent events have been taken too."""
    sequence, idle, first, more = told.sequence, told.idle, told.first, told.more
    for event in events:
        number = _number_of(event)
        if number is None or number <= sequence:
            continue
        sequence = number
        envelope = _read(event)
        kind = word_in(envelope, "type")
        if kind == _STEP:
            # any change of a step but its end means that something goes on
            if word_in(envelope, "value.step_state") != "not_running":
                idle, first, more = False, None, False
        elif kind == _IDLE:
            idle = True
        elif kind == ASK or ASK in _names(at(envelope, "types")):
            more = first is not None
            first = first or _question_of(number, kind, envelope)
    return Told(sequence, idle, first, more)


def answer_kind(representation: Any, events: Any) -> str | None:
    """Return the type of event that answers a workflow's questions; None if it is not plain.

    Of what `/workflows/NAME/representation` and `/workflows/NAME/events` answer.
    """
    nodes = rows_in(representation, "graph.nodes")
    shown = {word_in(node, "id") for node in nodes}
    answers = {
        word_in(node, "event_type") for node in nodes if ANSWER in _names(at(node, "event_types"))
    }
    if not answers:
        # one that a step waits for within itself is in no graph, only registered beside it
        listed = {word_in(schema, "title") for schema in rows_in(events, "events")}
        answers = listed - shown - _PLUMBING
    answers.discard("")
    return answers.pop() if len(answers) == 1 else None


def _number_of(event: bytes) -> int | None:
    for line in event.splitlines():
        if line.startswith(b"id:"):
            text = line[3:].strip()
            if text.isdigit() and len(text) < 17 and int(text) < _LARGEST_SEQUENCE:
                return int(text)
    return None


def _read(event: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(data_of(event))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return {}
    return value if isinstance(value, dict) else {}


def _names(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _question_of(number: int, kind: str, envelope: dict[str, Any]) -> Question:
    """Return the question that an event puts by its fields: those declared, or it was made with."""
    value = object_in(envelope, "value")
    if value.keys() == {"_data"}:
        value = object_in(value, "_data")
    texts = (text_in(value, key) for key in ("prefix", "question", "message", "prompt"))
    text = next(filter(None, texts), kind)
    return Question(number, kind, text, arguments_in(value))
