"""The replays that agents play in: opened for a person, each with a token of its own.

That token is no run's token: it is known to this process alone, and only what plays recordings
looks for it. So it opens nothing else, and after a restart nothing at all.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from watchkeeper.core import ids
from watchkeeper.core.digest import parse
from watchkeeper.core.errors import Conflict, Invalid, NotFound
from watchkeeper.decide.catalogue import CatalogueView
from watchkeeper.decide.replay.steps import find_step
from watchkeeper.decide.service import Decider
from watchkeeper.gateways.mcp.results import read_result
from watchkeeper.gateways.replay.playback import Playback, over
from watchkeeper.gateways.replay.runs import ReplayRuns
from watchkeeper.gateways.replay.tape import Tape, TapeStep, read_tape
from watchkeeper.identity.model import Caller, IssuedRun, RunFacts
from watchkeeper.identity.recorded import known_run
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces import contents
from watchkeeper.wire.replays import Play
from watchkeeper.wire.replays import Playback as PlaybackShown

PREFIX = "wkpb"
MOST_OPEN = 8
_MOST_KEPT = 32
_MOST_NAMED = 5


_AS_FAILURE = (
    "the tool answers with a value and the result given is none: its agent is told of a failure"
)


@dataclass(frozen=True, slots=True)
class Opened:
    """A replay that has begun, with the token for its agent."""

    issued: IssuedRun
    steps: int
    """How many there are to be played."""
    missing: tuple[str, ...]
    """What can't be played, in words."""
    notes: tuple[str, ...]


class Playbacks:
    """Those of this process, by token."""

    def __init__(self, decider: Decider, view: CatalogueView, runs: ReplayRuns) -> None:
        self._decider = decider
        self._view = view
        self._runs = runs
        self._by_token: dict[str, Playback] = {}
        self._by_run: OrderedDict[str, Playback] = OrderedDict()
        self._opening = 0

    def of(self, token: str) -> Playback:
        """Return what is played under a token; raise `Unauthenticated` if nothing is."""
        found = self._by_token.get(ids.hash_secret(token))
        if found is None:
            raise over()
        return found

    async def identify(self, token: str) -> Caller:
        """Return the agent that a token was made for; raise `Unauthenticated` if for none."""
        playback = self.of(token)
        await playback.check()
        return playback.caller

    def read(self, run: str) -> PlaybackShown:
        """Return how a replay stands, or stood when it ended; raise `NotFound`."""
        return self._find(run).shown()

    async def open(self, run: str, wanted: Play, *, by: str) -> Opened:
        """Begin to play a run.

        Raises `NotFound` and `Invalid` where there is nothing to play, or not all of it and that
        was not asked for; `Conflict` while too many are open, `Forbidden` and others where the
        agent may not open a run now.
        """
        now = self._decider.store.clock.now()
        for known, one in list(self._by_token.items()):
            if one.ended or one.expires_at <= now:
                del self._by_token[known]
        if len(self._by_token) + self._opening >= MOST_OPEN:
            raise Conflict(
                f"{MOST_OPEN} replays of agents are under way",
                code="busy",
                remedy="end one: `watchkeeper replay report RUN --end`",
            )
        self._opening += 1
        try:
            return await self._open(run, wanted, by)
        finally:
            self._opening -= 1

    async def _open(self, run: str, wanted: Play, by: str) -> Opened:
        found = await self._decider.store.scan(lambda tx: _prepare(tx, run, wanted))
        playback = Playback(
            self._decider.store,
            self._view,
            found.facts,
            found.tape,
            changed=found.changed,
            result=found.result,
            live_model=wanted.live_model,
            notes=found.notes,
        )
        at = found.changed or found.tape.steps[0]
        issued = await self._runs.open(found.facts, at.decision, wanted.reason, by=by)
        playback.begin(issued)
        token = ids.secret(PREFIX)
        self._by_token[ids.hash_secret(token)] = playback
        self._by_run[playback.run] = playback
        while len(self._by_run) > _MOST_KEPT:
            self._by_run.popitem(last=False)
        opened = replace(issued, token=token)
        return Opened(opened, len(found.tape.steps), found.missing, playback.notes)

    async def end(self, run: str, *, by: str) -> PlaybackShown:
        """End a replay, which ends its run, and say what came of it; raise `NotFound`."""
        playback = self._find(run)
        if not playback.ended:
            playback.ended = True
            await self._runs.close(playback.agent, run, "succeeded", playback.summary(), by=by)
        return playback.shown()

    def forget_words(self) -> None:
        """Keep nothing of what agents said in replays."""
        for one in self._by_run.values():
            one.forget_words()

    def _find(self, run: str) -> Playback:
        found = self._by_run.get(run)
        if found is None:
            raise NotFound(
                f"nothing is played in run {run!r:.80}",
                remedy="a plane knows its newest replays of agents until it stops",
            )
        return found


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What is to be played."""

    facts: RunFacts
    tape: Tape
    changed: TapeStep | None
    result: Mapping[str, Any]
    missing: tuple[str, ...]
    notes: tuple[str, ...]


def _prepare(tx: Transaction, run: str, wanted: Play) -> _Prepared:
    facts = known_run(tx, run)
    tape, beyond = read_tape(tx, run)
    if not tape.steps:
        raise Invalid(f"run {run} has no steps to be played", where="run")
    changed = _changed(tx, run, wanted, tape)
    unknown = [one for one in tape.steps if one.missing is not None and one is not changed]
    if wanted.live_model:
        unknown = [one for one in unknown if one.kind != "model"]
    missing = [f"step {one.place}, {one.kind} {one.name}: {one.missing}" for one in unknown]
    if beyond:
        missing.append(f"{beyond:,} more steps: they are too many")
    if missing and not wanted.partly:
        raise Invalid(
            f"{len(missing)} of the steps of {run} can't be played: {_some(missing)}",
            code="not_recorded",
            where="run",
            remedy="play what there is with --partly; what is kept: logging.trace_level and "
            "zero_retention of the contract, and content_days of the plane",
        )
    result, notes = _told(tx, changed, wanted.result or "")
    return _Prepared(facts, tape, changed, result, tuple(missing), notes)


def _told(
    tx: Transaction, changed: TapeStep | None, text: str
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Return a tool's result of these words; a value too, where the tool gave one then.

    Clients refuse words alone where a tool is to answer with a value, unless it failed.
    """
    told: dict[str, Any] = {"content": [{"type": "text", "text": text}]}
    parts = contents.read(tx, changed.decision) if changed else []
    then = next((one.text for one in parts if one.part == "output"), None)
    if then is None or "structuredContent" not in read_result(then.encode()):
        return told, ()
    try:
        value = parse(text)
    except Invalid:
        value = None
    if isinstance(value, dict):
        return {**told, "structuredContent": value}, ()
    return {**told, "isError": True}, (_AS_FAILURE,)


def _changed(tx: Transaction, run: str, wanted: Play, tape: Tape) -> TapeStep | None:
    if (wanted.at is None) != (wanted.result is None):
        raise Invalid(
            "a step and what its tool is now to have answered are given together, or neither",
            where="result" if wanted.result is None else "at",
        )
    if wanted.at is None:
        return None
    row, place = find_step(tx, run, wanted.at)
    found = next((one for one in tape.steps if one.decision == row.decision), None)
    if row.kind != "tool" or found is None or found.keys.call is None:
        why = "was erased" if found else "waited for a person: name the step that came of it"
        raise Invalid(
            f"step {place} {why if row.kind == 'tool' else f'is a call of {row.kind} {row.name}'}",
            where="at",
            remedy="name a call of a tool",
        )
    return found


def _some(missing: Sequence[str]) -> str:
    more = len(missing) - _MOST_NAMED
    return "; ".join(missing[:_MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")
