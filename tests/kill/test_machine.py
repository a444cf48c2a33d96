"""Locks of every kind that overlap, expire, drain and are lifted, against a plain model."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.kill.guarded import MODES, RUN_OWNERS, Guarded, TurningClock, is_of
from tests.rig.machines import machine_settings
from tests.rig.stores import sqlite_url
from watchkeeper.core.errors import Conflict, Forbidden, Unauthenticated
from watchkeeper.decide.kill.flight import InFlight
from watchkeeper.store.store import Store
from watchkeeper.wire.decisions import Ask, Outcome
from watchkeeper.wire.locks import Mode, TargetKind

T = TypeVar("T")
MICROSECONDS = 1_000_000
DRAINED_AFTER = 600
TARGETS: tuple[tuple[TargetKind, str], ...] = (
    ("agent", "clerk"), ("agent", "scribe"), ("version", "clerk@1"), ("version", "scribe@1"),
    ("version", "clerk@2"), ("team", "finance-ops"), ("team", "records"), ("person", "ada"),
    ("person", "ada.l"), ("runtime", "graphs"), ("tool", "books.read"), ("upstream", "books"),
    ("model", "small-fast"), ("provider", "near"), ("workflow", "month-end"),
    ("everything", "*"),
)  # fmt: skip
KNOWN_AS = {"ada.l": "ada"}


@dataclass
class Run:
    """A run as the model knows it."""

    run: str
    token: str
    agent: str
    behalf: str | None
    parent: str | None
    stopped: bool = False


@dataclass
class Held:
    """A lock as the model knows it."""

    lock: str
    kind: str
    name: str
    mode: Mode
    since: int
    until: int | None
    draining: bool = False
    look_at: int = 0
    """When it is next looked whether a drain has ended."""


class Locks(RuleBasedStateMachine):
    """One plane that is restarted at will, with runs, children, and whatever locks come down."""

    @initialize()
    def begin(self) -> None:
        """Open an empty store and put the world in force."""
        self.loop = asyncio.new_event_loop()
        self.directory = Path(tempfile.mkdtemp())
        self.clock = TurningClock()
        self.runs: dict[str, Run] = {}
        self.locks: dict[str, Held] = {}
        self.flights: list[tuple[str, InFlight]] = []
        self.credentials: dict[str, str] = {}
        self.run(self.open())
        self.open_run("ada.l")
        self.lock(("agent", "scribe"), "deny-new", 30)

    async def open(self) -> None:
        """Open the store as a plane does that starts."""
        self.store = await Store.open(sqlite_url(self.directory), self.clock)
        self.guarded = await Guarded.open(self.store)
        self.guarded.credentials = self.credentials

    def run(self, work: Awaitable[T]) -> T:
        """Drive the plane's loop."""
        return self.loop.run_until_complete(work)

    def facts(self) -> dict[str, Any]:
        """Return the runs as `is_of` reads them; every contract is in its first version."""
        return {one.run: (one.agent, 1, one.behalf, one.parent) for one in self.runs.values()}

    def covering(self, run: str, name: str, *, opening: bool = False) -> set[str]:
        """Return the locks that refuse a call in a run, by the model."""
        return {
            one.lock
            for one in self.locks.values()
            if is_of(one.kind, one.name, run, self.facts(), {"name": name})
            and (opening or one.mode != "deny-new" or one.kind not in RUN_OWNERS)
        }

    @rule(behalf=st.sampled_from([None, "ada.l", "bob"]))
    def open_run(self, behalf: str | None) -> None:
        """The clerk opens a run."""
        self._open("clerk", behalf, None)

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def open_child(self, data: st.DataObject) -> None:
        """The scribe opens a run under another."""
        parent = self.runs[data.draw(st.sampled_from(sorted(self.runs)))]
        self._open("scribe", parent.behalf, parent)

    def _open(self, agent: str, behalf: str | None, parent: Run | None) -> None:
        wanted = Run("new", "", agent, behalf, parent.run if parent else None)
        self.runs["new"] = wanted
        refused = self.covering("new", "", opening=True)
        del self.runs["new"]
        depth, above = 0, parent
        while above is not None:
            depth, above = depth + 1, self.runs[above.parent] if above.parent else None
        try:
            issued = self.run(
                self.guarded.open_run(
                    agent,
                    behalf=behalf if parent is None else None,
                    under=parent.token if parent else None,
                )
            )
        except (Forbidden, Unauthenticated) as error:
            assert refused or (parent and parent.stopped) or depth > 3 or self.expired(error)
            if refused and isinstance(error, Forbidden):
                assert str(error.rule).removeprefix("lock/") in refused
            return
        assert not refused
        assert not (parent and parent.stopped)
        wanted.run, wanted.token = issued.run, issued.token
        self.runs[issued.run] = wanted

    def expired(self, error: Exception) -> bool:
        """Tell whether it is refused because its time is over, as much passes here."""
        return isinstance(error, Unauthenticated) and error.code == "token_expired"

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), fly=st.booleans())
    def ask(self, data: st.DataObject, fly: bool) -> None:
        """An agent asks; what it is permitted may still be under way when locks come down."""
        run = self.runs[data.draw(st.sampled_from(sorted(self.runs)))]
        refused = self.covering(run.run, "books.read")
        performer: Any = "plane" if fly else "agent"
        try:
            answer = self.run(
                self.guarded.decider.decide(run.token, Ask(name="books.read"), performer=performer)
            )
        except Unauthenticated as error:
            assert self.expired(error)
            return
        if refused:
            assert answer.verdict == "deny"
            assert answer.rule.removeprefix("lock/") in refused
        elif run.stopped:
            assert answer.rule == "lock/run-stopped"
        else:
            assert answer.verdict == "permit"
            if fly:
                flights = self.guarded.decider.flights
                flight = flights.fly(answer.decision, lambda: None, lambda covered: None)
                self.flights.append((run.run, flight))

    @precondition(lambda self: self.flights)
    @rule(data=st.data())
    def end_flight(self, data: st.DataObject) -> None:
        """A call that is under way ends."""
        _, flight = self.flights.pop(data.draw(st.integers(0, len(self.flights) - 1)))
        flight.__exit__()
        status: Any = "unknown" if flight.cancelled else "succeeded"
        self.run(self.guarded.decider.settle(flight.decision, Outcome(status=status)))

    @precondition(lambda self: len(self.locks) < 4)
    @rule(
        what=st.sampled_from(TARGETS),
        mode=st.sampled_from(MODES),
        seconds=st.sampled_from([None, 30, 30, 400]),
    )
    def lock(self, what: tuple[TargetKind, str], mode: Mode, seconds: int | None) -> None:
        """A lock comes down."""
        self._lock(*what, mode, seconds)

    @precondition(lambda self: self.runs and len(self.locks) < 4)
    @rule(data=st.data(), mode=st.sampled_from(MODES))
    def lock_run(self, data: st.DataObject, mode: Mode) -> None:
        """A lock comes down on one run, and what is below it."""
        self._lock("run", data.draw(st.sampled_from(sorted(self.runs))), mode, None)

    def _lock(self, kind: TargetKind, name: str, mode: Mode, seconds: int | None) -> None:
        made = self.run(self.guarded.lock(kind, name, mode, seconds=seconds))
        now = self.clock.now()
        until = None if seconds is None else now + seconds * MICROSECONDS
        held = Held(made, kind, KNOWN_AS.get(name, name), mode, now, until)
        self.locks[made] = held
        flying = [run for run, one in self.flights if self._covers(held, run)]
        if mode == "drain" and flying:
            held.draining, held.look_at = True, now + MICROSECONDS
        elif mode in ("stop", "drain"):
            self._end(held)
        for run, flight in self.flights:
            if mode == "stop" and self._covers(held, run):
                assert flight.cancelled is not None, "a kill cuts what it covers"

    def _covers(self, held: Held, run: str) -> bool:
        return is_of(held.kind, held.name, run, self.facts(), {"name": "books.read"})

    def _end(self, held: Held) -> None:
        """The runs that a lock covers are stopped for good; a tool or model owns none."""
        if held.kind in RUN_OWNERS:
            for run in self.runs.values():
                run.stopped |= self._covers(held, run.run)

    @precondition(lambda self: self.locks)
    @rule(data=st.data())
    def lift(self, data: st.DataObject) -> None:
        """One lock is lifted; the others stay in force."""
        lock = data.draw(st.sampled_from(sorted(self.locks)))
        self.run(self.guarded.kill.lift(lock, reason="over", by="person/bob"))
        del self.locks[lock]
        try:
            self.run(self.guarded.kill.lift(lock, reason="over", by="person/bob"))
        except Conflict as error:
            assert error.code == "already_lifted"
        else:
            raise AssertionError("a lock is lifted once")

    @precondition(lambda self: self.locks)
    @rule(seconds=st.sampled_from([1, 29, 31, 401, 601]))
    def pass_time(self, seconds: int) -> None:
        """Time passes, and what is due is done."""
        self.clock.advance(seconds)
        self.sweep()

    @precondition(lambda self: any(held.until for held in self.locks.values()))
    @rule(seconds=st.sampled_from([20, 500]))
    def put_the_clock_back(self, seconds: int) -> None:
        """Somebody puts the clock back while timers come due: nothing ends early."""
        self.clock.back += seconds * MICROSECONDS
        self.sweep()

    def sweep(self) -> None:
        """Run the timers that are due, and the model beside them."""
        self.run(self.guarded.sweep())
        now = self.clock.now()
        for held in list(self.locks.values()):
            flying = any(self._covers(held, run) for run, _ in self.flights)
            if held.draining and now >= held.look_at:
                over = now >= held.since + DRAINED_AFTER * MICROSECONDS
                held.look_at = now + MICROSECONDS
                if over or not flying:
                    held.draining = False
                    self._end(held)
            if held.until is not None and held.until <= now:
                del self.locks[held.lock]

    @precondition(lambda self: self.locks)
    @rule()
    def restart(self) -> None:
        """The plane ends as in a power cut, and is started anew; what was under way is gone."""
        self.flights.clear()
        self.run(self.guarded.kill.stop())
        self.run(self.store.close())
        self.run(self.open())

    @invariant()
    def the_same_locks_are_in_force_everywhere(self) -> None:
        """The store, the plane and the model agree on what is in force."""
        if not hasattr(self, "guarded"):
            return
        stored = self.run(self.guarded.rows("select lock from locks where lifted_at is null"))
        assert {row[0] for row in stored} == set(self.locks)
        assert {one.lock for one in self.guarded.decider.locks} == set(self.locks)

    @invariant()
    def the_same_runs_are_stopped(self) -> None:
        """Exactly what kills and finished drains cover was stopped."""
        if not hasattr(self, "guarded"):
            return
        stored = self.run(self.guarded.rows("select run from runs where state = 'stopped'"))
        assert {row[0] for row in stored} == {one.run for one in self.runs.values() if one.stopped}

    def teardown(self) -> None:
        """Nothing was permitted under a lock, as the ledger tells it; close and clean up."""
        if hasattr(self, "guarded"):
            try:
                assert self.run(self.guarded.permitted_under_a_lock()) == []
            finally:
                self.run(self.guarded.kill.stop())
                self.run(self.store.close())
                self.loop.close()
                shutil.rmtree(self.directory)


class TestLocks(Locks.TestCase):  # type: ignore[misc, valid-type]
    """Runs the machine."""

    settings = machine_settings(examples=10)
