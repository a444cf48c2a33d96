"""What was recorded of a run, step by step, to be found again by the calls of its agent."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from watchkeeper.core.digest import canonical, parse
from watchkeeper.core.errors import Invalid
from watchkeeper.decide.replay.steps import steps_of
from watchkeeper.decide.tables import decisions
from watchkeeper.gateways.model.conversation import results_in
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces import contents
from watchkeeper.wire.decisions import ActionKind, Verdict
from watchkeeper.wire.erasing import ERASED

MOST_STEPS = 1000
"""Steps of a run that can be played."""
_LONGEST_PATH = 200
_DEEPEST = 40


class Keys(NamedTuple):
    """What a call is known by, the surest first; None: by nothing of the kind."""

    call: str | None
    """All of it, as it was sent."""
    kept: str | None
    """What is kept of it."""
    asked: str | None = None
    """Of a model call: what is kept of it but for what tools answered."""


@dataclass(slots=True)
class TapeStep:
    """One step that can be played, once."""

    place: int
    decision: str
    kind: ActionKind
    name: str
    verdict: Verdict
    keys: Keys
    missing: str | None
    """Why its answer is not known."""
    played: bool = False


class Tape:
    """The steps of a recorded run, oldest first."""

    def __init__(self, steps: Sequence[TapeStep]) -> None:
        self.steps = tuple(steps)
        self._last = 0

    def take(self, kind: ActionKind, keys: Keys) -> tuple[TapeStep, str] | None:
        """Return the oldest step of the same call that was not played, and by what it is known."""
        for how in Keys._fields:
            key = getattr(keys, how)
            if key is None:
                continue
            for step in self.steps:
                if not step.played and step.kind == kind and getattr(step.keys, how) == key:
                    step.played = True
                    self._last = max(self._last, step.place)
                    return step, how
        return None

    def next(self, kind: ActionKind, name: str) -> TapeStep | None:
        """Return the step that a call most likely stands in for: the next of its name."""
        left = [one for one in self.steps if not one.played and one.kind == kind]
        return next((one for one in left if one.name == name), None)

    @property
    def last(self) -> int:
        """The place of the last step that was played; 0: none was."""
        return self._last

    def left_out(self) -> Iterator[TapeStep]:
        """Yield the steps that were not played, in order."""
        return (one for one in self.steps if not one.played)


def read_tape(tx: Transaction, run: str) -> tuple[Tape, int]:
    """Return what was recorded of a run, and how many steps there are beyond `MOST_STEPS`."""
    query = steps_of(run)
    rows = tx.connection.execute(query.limit(MOST_STEPS)).all()
    beyond = 0
    if len(rows) == MOST_STEPS:
        later = query.where(decisions.c.decision > rows[-1].decision)
        beyond = sum(1 for _ in tx.connection.execute(later.with_only_columns(decisions.c.run)))
    decided = {row.call_digest for row in rows if row.verdict != "hold"}
    steps = []
    for place, row in enumerate(rows, 1):
        if row.verdict == "hold" and row.call_digest in decided:
            # its agent was kept waiting, or came again: what it got in the end is played
            continue
        steps.append(_step(tx, row, place))
    return Tape(steps), beyond


def _step(tx: Transaction, row: Row, place: int) -> TapeStep:
    kept, asked, missing = None, None, None
    if row.call_digest == ERASED:
        return TapeStep(
            place, row.decision, row.kind, row.name, row.verdict, Keys(None, None), "it was erased"
        )
    if row.kind == "tool":
        kept = f"{row.name} {row.arguments}"
    parts = {one.part: one for one in contents.read(tx, row.decision)}
    if row.kind == "model" and (given := parts.get("input")) is not None:
        kept, asked = known_by(given.text) if given.text is not None else (None, None)
    if row.verdict == "permit":
        missing = missing_of(row, parts.get("output"))
    return TapeStep(
        place, row.decision, row.kind, row.name, row.verdict,
        Keys(row.call_digest, _hashed(kept), _hashed(asked)), missing,
    )  # fmt: skip


def known_by(body: str) -> tuple[str, str | None]:
    """Return a model call as it is kept, and without what it says that tools answered."""
    try:
        read = parse(body)
    except Invalid:
        return body, None
    results = results_in(read) if isinstance(read, dict) else []
    for one in results:
        one.replace("")
    return body, canonical(read).decode() if results else None


def keys_of(call: str, kept: str, asked: str | None = None) -> Keys:
    """Return what a call is known by, of its digest and of what would be kept of it."""
    return Keys(call, _hashed(kept), _hashed(asked))


def missing_of(row: Row, output: contents.Content | None) -> str | None:
    """Say why the answer of a permitted step is not known, or return None."""
    if row.performer == "agent":
        return "its agent performed it by itself"
    if output is not None and output.text is not None:
        return None
    if row.outcome in ("failed", "unknown") and row.error is not None:
        # it ended with an error in the plane's own words
        return None
    why = output.left_out if output is not None else None
    return f"what came out of it was not kept ({why or 'nothing is there'})"


def _hashed(text: str | None) -> str | None:
    return None if text is None else hashlib.sha256(text.encode()).hexdigest()


def difference(then: Any, now: Any) -> str | None:
    """Return where two values first differ, as `messages[2].content`; None: nowhere."""
    return _difference(then, now, "", 0)


def _difference(then: Any, now: Any, path: str, depth: int) -> str | None:
    if depth < _DEEPEST and len(path) < _LONGEST_PATH:
        if isinstance(then, dict) and isinstance(now, dict):
            for name in dict.fromkeys((*then, *now)):
                there = f"{path}.{name}" if path else str(name)
                if name not in then or name not in now:
                    return there
                found = _difference(then[name], now[name], there, depth + 1)
                if found is not None:
                    return found
            return None
        if isinstance(then, list) and isinstance(now, list):
            for place, (one, other) in enumerate(zip(then, now, strict=False)):
                found = _difference(one, other, f"{path}[{place}]", depth + 1)
                if found is not None:
                    return found
            shorter = min(len(then), len(now))
            return None if len(then) == len(now) else f"{path}[{shorter}]"
    return None if then == now else path or "all of it"
