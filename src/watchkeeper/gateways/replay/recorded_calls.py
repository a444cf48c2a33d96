"""Which recorded model call is sent again at a fork, and with what result of a tool put in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from watchkeeper.core.digest import canonical, parse, parse_object
from watchkeeper.core.errors import Invalid
from watchkeeper.decide.replay.steps import find_step, steps_of
from watchkeeper.decide.tables import decisions
from watchkeeper.gateways.model.conversation import (
    ENDPOINTS,
    ToolResult,
    results_in,
    said_in,
    text_in,
    without_stream,
)
from watchkeeper.identity.model import RunFacts
from watchkeeper.identity.recorded import known_run
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces import contents
from watchkeeper.wire.erasing import ERASED
from watchkeeper.wire.function_names import FunctionNames
from watchkeeper.wire.models import Endpoint
from watchkeeper.wire.replays import Fork, Said

MOST_LOOKED_AT = 50
"""Model calls after a step that are looked through for its result."""
_CHANGED = ("redacted]", ERASED, "[personal ")
"""How what stands for something that was taken out ends, or is written."""


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """A recorded model call as it is to be sent again."""

    facts: RunFacts
    at: Row
    """The step that it forks at."""
    asked: Row
    endpoint: Endpoint
    body: bytes
    replaced: int
    then: Said | None
    notes: tuple[str, ...]


def find_call(tx: Transaction, run: str, wanted: Fork, names: FunctionNames) -> RecordedCall:
    """Return the recorded model call at or after a step, with the tool's result replaced.

    Raises `NotFound` for a run or step that there is not, `Invalid` where too little was kept.
    """
    facts = known_run(tx, run)
    step, place = find_step(tx, run, wanted.at)
    if (step.kind == "tool") != (wanted.result is not None):
        raise Invalid(
            f"step {place} is a call of {step.kind} {step.name}: "
            + ("say what it is now to have answered" if step.kind == "tool"
               else "a result is given for a tool, and for nothing else"),
            where="result",
            remedy="give --result FILE" if step.kind == "tool" else "leave --result out, or name "
            "the step of a tool",
        )  # fmt: skip
    why: list[str] = []
    for asked in [step] if step.kind == "model" else _after(tx, step):
        found = _as_sent(tx, facts, step, asked, wanted.result, names, why)
        if found is not None:
            return found
    said = "; ".join(dict.fromkeys(why)) or "no model call that ran came after it"
    raise Invalid(
        f"nothing can be sent again from step {place}: {said}",
        where="at",
        remedy="what is kept of model calls: logging.trace_level and zero_retention of the "
        "contract, and content_days of the plane",
    )


def _after(tx: Transaction, step: Row) -> Sequence[Row]:
    d = decisions.c
    query = steps_of(step.run).where(
        d.kind == "model", d.verdict == "permit", d.decision > step.decision
    )
    return tx.connection.execute(query.limit(MOST_LOOKED_AT)).all()


def _as_sent(
    tx: Transaction,
    facts: RunFacts,
    step: Row,
    asked: Row,
    result: str | None,
    names: FunctionNames,
    why: list[str],
) -> RecordedCall | None:
    endpoint = _object(asked.arguments).get("endpoint")
    if endpoint not in ENDPOINTS:
        why.append("its model calls did not pass the gateway, or tell no model what tools answered")
        return None
    parts = {one.part: one for one in contents.read(tx, asked.decision)}
    given = parts.get("input")
    if given is None or given.text is None:
        left_out = given.left_out if given is not None else None
        why.append(f"what {asked.decision} asked was not kept ({left_out or 'nothing is there'})")
        return None
    body = _object(given.text)
    replaced = 0
    if result is not None:
        answers = {one.part: one for one in contents.read(tx, step.decision)}
        output = answers.get("output")
        words = text_in(_object(output.text if output else None).get("content"))
        one = _choose(results_in(body), step, words, names)
        if one is None:
            why.append(f"{asked.decision} does not tell its model what {step.name} answered")
            return None
        one.replace(result)
        replaced = 1
    then = parts.get("output")
    return RecordedCall(
        facts,
        step,
        asked,
        endpoint,
        canonical(without_stream(body)),
        replaced,
        _said_then(endpoint, then),
        tuple(_notes(given.text, body, then)),
    )


def _choose(
    results: Sequence[ToolResult], step: Row, words: str, names: FunctionNames
) -> ToolResult | None:
    """Return the result of a step among those that a model is told: of its very call and words,
    of its call, of its words, or of the only call of its tool. Of equal ones the newest.
    """
    offered = names.offered.get(step.name, step.name)
    of_tool = [
        one
        for one in results
        if one.name is not None
        and (names.tool(one.name) == step.name or one.name.endswith(offered))
    ]
    arguments = _object(step.arguments)
    of_call = [one for one in of_tool if one.arguments == arguments]
    of_words = [one for one in results if words and one.text == words]
    both = [one for one in of_call if any(one is other for other in of_words)]
    for found in (both, of_call, of_words):
        if found:
            return found[-1]
    return of_tool[0] if len(of_tool) == 1 else None


def _said_then(endpoint: Endpoint, then: contents.Content | None) -> Said | None:
    if then is None or then.text is None:
        return None
    if then.kind == "text":
        return Said(text=then.text)
    try:
        return said_in(endpoint, parse(then.text))
    except Invalid:
        return None


def _notes(text: str, body: dict[str, Any], then: contents.Content | None) -> list[str]:
    notes = []
    if any(one in text for one in _CHANGED):
        notes.append("what was taken out before it was kept is not in what was sent again")
    if body.get("stream"):
        notes.append("the answer was streamed then, and is asked for whole now")
    if then is None or then.text is None:
        left_out = then.left_out if then is not None else None
        notes.append(f"what the model said then was not kept ({left_out or 'nothing is there'})")
    return notes


def _object(text: str | None) -> dict[str, Any]:
    return parse_object(text) or {}
