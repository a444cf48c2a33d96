"""One agent playing one of its runs again: which recorded step answers each of its calls.

Every call is put to the real path, in its dry form, for people to see what it would be decided as;
nothing is held, asked or performed. Locks hold: under one the agent is told nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from watchkeeper.core.digest import parse
from watchkeeper.core.errors import Conflict, Forbidden, Invalid, Unauthenticated
from watchkeeper.core.text import make_safe
from watchkeeper.decide.catalogue import CatalogueView
from watchkeeper.decide.explaining import glance
from watchkeeper.decide.held.narrowing import read_for
from watchkeeper.decide.model import Action, Ruling
from watchkeeper.decide.records import find_decision
from watchkeeper.gateways.replay.tape import Keys, Tape, TapeStep, difference, missing_of
from watchkeeper.identity.model import Caller, IssuedRun, RunFacts
from watchkeeper.identity.recorded import recorded_run
from watchkeeper.identity.scope import read_token_scope
from watchkeeper.store.statement import Row
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces import contents
from watchkeeper.traces.contents import Content
from watchkeeper.wire.decisions import Narrowed
from watchkeeper.wire.replays import LeftOut, Played, PlayedCall
from watchkeeper.wire.replays import Playback as PlaybackShown

MOST_CALLS = 2000
_MOST_LEFT_OUT = 100
_LONGEST_ASKED = 2000
NOTES = (
    "a replay: no tool was called, and the recorded run is as it was",
    "each call was decided as it would be now, in a run that uses nothing up: budgets, rates and "
    "approvals are looked at, and nothing is taken or asked",
)
LIVE_NOTE = "what went to a model is paid for, as the agent's own calls are"
_ANSWERED: frozenset[Played] = frozenset({"recorded", "told otherwise", "changed"})
_TOLD_OTHERWISE = "it tells of other results of tools than then; its answer is the one of then"
_RESULTS = "it tells of other results of tools than then"


@dataclass(frozen=True, slots=True)
class Asked:
    """One call as an agent made it."""

    action: Action
    keys: Keys
    said: Any
    """What is kept of it, to be compared with what was."""
    key: str | None = None
    """What its agent names it by: the same again is answered as the first."""
    hosted: bool = False
    """Whether a provider would call tools by itself for it: it never goes to a model."""


@dataclass(frozen=True, slots=True)
class Found:
    """What answers a call."""

    how: Played
    number: int
    why: str | None
    row: Row | None = None
    """The recorded decision; None where there is none."""
    output: Content | None = None
    narrowed: Narrowed | None = None


class Playback:
    """What is played to one agent, as long as the plane that opened it runs."""

    def __init__(
        self,
        store: Store,
        view: CatalogueView,
        facts: RunFacts,
        tape: Tape,
        *,
        changed: TapeStep | None,
        result: Mapping[str, Any],
        live_model: bool,
        notes: Sequence[str] = (),
    ) -> None:
        """`facts` are those of the recorded run."""
        self._store = store
        self._view = view
        self._facts = facts
        self._tape = tape
        self._changed = changed
        self._live = live_model
        self._calls: list[PlayedCall] = []
        self._answered: dict[str, TapeStep] = {}
        self._diverged_at: int | None = None
        self._issued = IssuedRun("", "", 0)
        self.result = result
        """What the changed step is now to have answered, as members of a tool's result."""
        self.notes = (*notes, *NOTES)
        """What is to be known of it, in words."""
        self.ended = False

    @property
    def agent(self) -> str:
        """The agent it is played to."""
        return self._facts.agent

    @property
    def of_run(self) -> str:
        """The recorded run."""
        return self._facts.run

    @property
    def run(self) -> str:
        """The replay run."""
        return self._issued.run

    @property
    def token(self) -> str:
        """The token of the replay run in the store, which its agent never has."""
        return self._issued.token

    @property
    def expires_at(self) -> int:
        """When it ends by itself."""
        return self._issued.expires_at

    @property
    def caller(self) -> Caller:
        """Its agent, in the replay run."""
        facts = self._facts
        scope = read_token_scope(facts.scope)
        return Caller(facts.agent, self.run, scope, facts.on_behalf_of, facts.environment)

    async def check(self) -> None:
        """Raise `Unauthenticated` once the replay is over."""
        await self._store.read(self._facts_now)

    def begin(self, issued: IssuedRun) -> None:
        """Take the replay run that it is played in."""
        self._issued = issued

    async def find(self, asked: Asked) -> Found:
        """Return what answers a call, and write down what it would be decided as.

        Raises `Unauthenticated` once the replay is over, `Forbidden` under a lock, `Conflict` for
        a call too many.
        """
        ruling = await self._store.read(lambda tx: self._decide(tx, asked.action))
        if ruling.rule.startswith("lock/"):
            raise Forbidden(ruling.reason, code="locked", rule=ruling.rule)
        if len(self._calls) >= MOST_CALLS:
            raise Conflict(f"a replay has {MOST_CALLS} calls at most", code="too_many_calls")
        # from here to the entry in the list nothing else may run: calls come side by side
        step, how, why = self._take(asked)
        number = len(self._calls) + 1
        diverges = step is None and self._diverged_at is None
        if diverges:
            self._diverged_at = number
        last = self._tape.last
        self._calls.append(self._entry(number, asked, ruling, step, how, why))
        if step is None:
            why = await self._store.read(lambda tx: self._why(tx, asked))
            self._note(number, why=why)
        if diverges:
            await self._store.write(lambda tx: self._record(tx, asked.action, last))
        if step is None:
            return Found(how, number, why)
        found = await self._store.read(lambda tx: _look_up(tx, step, asked, how, number, why))
        if found.how != how:
            self._note(number, how=found.how, why=found.why)
        return found

    def went_live(self, number: int, decision: str) -> None:
        """Note which decision a call had that went to a model."""
        self._note(number, decision=decision)

    def forget_words(self) -> None:
        """Keep nothing of what its agent said."""
        self._calls = [one.model_copy(update={"asked": None}) for one in self._calls]

    def shown(self) -> PlaybackShown:
        """Return how it stands."""
        left_out = list(self._tape.left_out())
        ended = self.ended or self._store.clock.now() >= self.expires_at
        return PlaybackShown(
            run=self.run,
            of_run=self.of_run,
            agent=self.agent,
            state="ended" if ended else "open",
            expires_at=self.expires_at,
            changed=self._changed.place if self._changed else None,
            live_model=self._live,
            calls=tuple(self._calls),
            steps=len(self._tape.steps),
            played=len({one.step for one in self._calls if one.how in _ANSWERED}),
            diverged_at=self._diverged_at,
            left_out=tuple(
                LeftOut(step=one.place, decision=one.decision, kind=one.kind, name=one.name)
                for one in islice(left_out, _MOST_LEFT_OUT)
            ),
            left_out_more=max(0, len(left_out) - _MOST_LEFT_OUT),
            notes=(*self.notes, *((LIVE_NOTE,) if self._live else ())),
        )

    def summary(self) -> str:
        """Say what came of it, for the record of its run."""
        shown = self.shown()
        said = f"a replay: {shown.played} of {shown.steps} recorded steps were played"
        if shown.diverged_at is None:
            left_out = len(shown.left_out) + shown.left_out_more
            return f"{said}; the agent left {left_out} out" if left_out else said
        first = shown.calls[shown.diverged_at - 1]
        return f"{said}; the agent went another way with {first.kind} {first.name}"

    def _note(self, number: int, **said: Any) -> None:
        self._calls[number - 1] = self._calls[number - 1].model_copy(update=said)

    def _facts_now(self, tx: Transaction) -> RunFacts:
        facts = recorded_run(tx, self.run)
        if self.ended or facts is None or facts.state != "open" or tx.now >= self.expires_at:
            raise over()
        return facts

    def _decide(self, tx: Transaction, action: Action) -> Ruling:
        return glance(tx, self._view.now, self._facts_now(tx), action).ruling

    def _take(self, asked: Asked) -> tuple[TapeStep | None, Played, str | None]:
        """Return the step that a call stands for, how it is answered, and why so."""
        live = self._live and asked.action.kind == "model" and not asked.hosted
        taken = self._tape.take(asked.action.kind, asked.keys)
        if taken is None:
            step = self._answered.get(asked.key or "")
            if step is None:
                return None, "live" if live else "refused", None
            known_by = "call"
        else:
            step, known_by = taken
            if asked.key is not None and step.verdict == "permit":
                self._answered[asked.key] = step
        if step is self._changed:
            return step, "changed", None
        if known_by == "asked":
            return (step, "live", _RESULTS) if live else (step, "told otherwise", _TOLD_OTHERWISE)
        if step.missing is not None:
            return step, "live" if live else "refused", step.missing
        return step, "recorded", None

    def _entry(
        self,
        number: int,
        asked: Asked,
        ruling: Ruling,
        step: TapeStep | None,
        how: Played,
        why: str | None,
    ) -> PlayedCall:
        action = asked.action
        said = None
        if step is None and action.kind == "tool":
            level = self._view.now.redaction_of(self.agent)
            said = make_safe(action.contents.kept(level), limit=_LONGEST_ASKED)
        return PlayedCall(
            number=number,
            at=self._store.clock.now(),
            kind=action.kind,
            name=action.name,
            how=how,
            step=step.place if step else None,
            decision=step.decision if step and how != "live" else None,
            verdict=ruling.verdict,
            rule=ruling.rule,
            reason=ruling.reason,
            why=why,
            asked=said,
        )

    def _why(self, tx: Transaction, asked: Asked) -> str:
        """Say how a call differs from the recorded one whose place it most likely takes."""
        action = asked.action
        instead = self._tape.next(action.kind, action.name)
        if instead is None or instead.keys.call is None:
            known = any(one.name == action.name for one in self._tape.steps)
            left = "no other call" if known else "no call"
            return f"the recording has {left} of {action.name}"
        if action.kind == "tool":
            text = find_decision(tx, instead.decision).arguments
        else:
            parts = contents.read(tx, instead.decision)
            text = next((one.text for one in parts if one.part == "input"), None)
        try:
            where = difference(parse(text), asked.said) if text else None
        except Invalid:
            where = None
        at = f" at {make_safe(where, limit=200)}" if where else ""
        return f"it is not as step {instead.place} had it{at}"

    def _record(self, tx: Transaction, action: Action, last: int) -> None:
        tx.record(
            "replay.diverged",
            actor=f"agent/{self.agent}",
            subject=f"run/{self.run}",
            agent=self.agent,
            run=self.run,
            body={
                "replay_of": self.of_run,
                "after_step": last,
                "kind": action.kind,
                "name": action.name,
            },
        )


def over() -> Unauthenticated:
    """Return the refusal of a call for which nothing is played any more."""
    return Unauthenticated(
        "no replay is under way with this token: it has ended, or the plane was started anew",
        code="run_ended",
        rule="identity/replay",
        remedy="open another with `watchkeeper replay agent RUN`",
    )


def _look_up(
    tx: Transaction, step: TapeStep, asked: Asked, how: Played, number: int, why: str | None
) -> Found:
    row = find_decision(tx, step.decision)
    parts = contents.read(tx, step.decision)
    sent: Mapping[str, Any] = asked.action.arguments
    narrowed = read_for(tx, row.request, sent) if row.request and row.verdict == "permit" else None
    output = next((one for one in parts if one.part == "output"), None)
    if how in ("recorded", "told otherwise") and row.verdict == "permit":
        gone = missing_of(row, output)
        if gone is not None:
            return Found("refused", number, gone)
    return Found(how, number, why, row, output, narrowed)
