"""Drills: a lock rehearsed without effect, and measured.

All that a lock does in the store is done and undone in one unit of work; the calls of what it
covers are put to the decision path with the lock in force, which they never see; whoever would be
told outside is asked at most whether they answer. What is kept is the report, with its digest.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from watchkeeper.core.digest import canonical, digest
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.core.words import count
from watchkeeper.decide.blast import measure
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.effector import Done, Rehearses
from watchkeeper.decide.effects import agents_under, open_runs_under, tools_under
from watchkeeper.decide.gates.kill import covered_run
from watchkeeper.decide.model import Action
from watchkeeper.decide.notices import Notices, contacts_of
from watchkeeper.decide.path import decide
from watchkeeper.decide.rehearsal import RehearsalFacts
from watchkeeper.decide.replaying import PAUSE_SECONDS, SLICE_SECONDS
from watchkeeper.decide.service import Decider
from watchkeeper.decide.stop import ATTEMPT_SECONDS, KillSwitch, check_target
from watchkeeper.identity.model import RunFacts
from watchkeeper.identity.recorded import recorded_runs
from watchkeeper.kill import drills
from watchkeeper.kill.model import LockInForce, LockTarget, Receipt
from watchkeeper.kill.rules import OWNS_RUNS, covering
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import ActionKind
from watchkeeper.wire.drills import DrillAction, DrillEffect, DrillPerson, DrillReport
from watchkeeper.wire.locks import BlastRadius, Effect, Mode, Target

_LOG = logging.getLogger(__name__)
MOST_CHECKED = 5_000
"""Calls that one drill puts to the decision path."""
MOST_RUNS = 2_000
_SAMPLE = 5
"""Tools of each run's contract that are asked for, where the lock is not on a tool or model."""
_MOST_LISTED = 50
_MOST_ASKED = 20
"""Parties that are asked at once whether they answer."""
REHEARSED = "rehearsed"
"""Stands for the lock in what refuses."""
_ROLE = "role/"


@dataclass(frozen=True, slots=True)
class _World:
    """What is there to be locked, from one snapshot of the store."""

    radius: BlastRadius
    runs: Sequence[RunFacts]
    runs_left_out: int
    told: tuple[DrillPerson, ...]
    nobody: tuple[str, ...]
    sequence: int


@dataclass(slots=True)
class _Checked:
    """What the decision path said."""

    refused_by: Counter[str] = field(default_factory=Counter)
    passing: list[DrillAction] = field(default_factory=list)
    passing_count: int = 0
    checked: int = 0
    left_out: int = 0
    milliseconds: list[float] = field(default_factory=list)


class _Undone(Exception):
    """Ends a unit of work that only rehearses, so that all of it is undone."""

    def __init__(self, lock: LockInForce, receipts: Sequence[Receipt], milliseconds: float) -> None:
        super().__init__()
        self.lock, self.receipts, self.milliseconds = lock, receipts, milliseconds


class Drills:
    """Holds drills, and keeps their reports."""

    def __init__(self, decider: Decider, kill: KillSwitch, notices: Notices) -> None:
        self._decider = decider
        self._kill = kill
        self._notices = notices

    async def hold(self, target: LockTarget, *, mode: Mode, reason: str, by: str) -> str:
        """Rehearse a lock and return the drill; raise as `KillSwitch.lock`."""
        catalogue, store = self._decider.catalogue.now, self._decider.store
        target = check_target(target, catalogue)
        world = await store.scan(lambda tx: self._look(tx, catalogue, target, store.head))
        begun = time.perf_counter()
        undone = await self._lock_and_undo(catalogue, target, mode=mode, reason=reason, by=by)
        lock, receipts = undone.lock, undone.receipts
        turn_ms = (time.perf_counter() - begun) * 1000
        effects = await self._effects(catalogue, lock, receipts, world)
        checked = await self._check(catalogue, lock, world)
        shown = Target(kind=target.kind, name=target.name)
        report = DrillReport(
            target=shown,
            mode=mode,
            by=by,
            reason=reason,
            at=store.clock.now(),
            sequence=world.sequence,
            radius=world.radius,
            effects=effects,
            told=world.told,
            nobody=world.nobody,
            agents=len(_opening(catalogue, target)),
            runs=len(world.runs),
            checked=checked.checked,
            refused=checked.refused_by[f"lock/{REHEARSED}"],
            refused_by=dict(sorted(checked.refused_by.items())),
            passing=tuple(checked.passing),
            passing_count=checked.passing_count,
            left_out=checked.left_out,
            lock_ms=round(undone.milliseconds, 3),
            turn_ms=round(turn_ms, 3),
            decide_ms_median=round(statistics.median(checked.milliseconds or [0.0]), 4),
            decide_ms_longest=round(max(checked.milliseconds, default=0.0), 4),
            findings=tuple(_findings(target, mode, world, effects, checked)),
        )
        value = report.model_dump(mode="json")
        text = canonical(value).decode()
        name = digest("watchkeeper/drill/v1", value)
        return await store.write(lambda tx: drills.keep(tx, report, text, name))

    async def _lock_and_undo(
        self, catalogue: Catalogue, target: LockTarget, *, mode: Mode, reason: str, by: str
    ) -> _Undone:
        """Do all that a lock does in the store, and undo it before anybody sees it."""

        def unit(tx: Transaction) -> None:
            begun = time.perf_counter()
            lock, receipts = self._kill.lock_in(
                tx, catalogue, target, mode=mode, reason=reason, by=by
            )
            raise _Undone(lock, receipts, (time.perf_counter() - begun) * 1000)

        try:
            await self._decider.store.write(unit)
        except _Undone as undone:
            return undone
        raise AssertionError("a rehearsal is always undone")

    async def _ask_ahead(self, lock: LockInForce, effect: Effect, party: str) -> Done | None:
        """Ask who carries an effect out whether a party could do it; None: nobody can say."""
        for effector in self._kill.carrying_out(effect):
            if not isinstance(effector, Rehearses):
                continue
            try:
                async with asyncio.timeout(ATTEMPT_SECONDS):
                    return await effector.rehearse(lock, party)
            except LookupError:
                continue
            except TimeoutError:
                return Done(f"no answer in {ATTEMPT_SECONDS:g} s")
            except WatchkeeperError as error:
                return Done(error.message)
            except Exception:
                _LOG.exception("a rehearsal of %s failed", effect)
                return Done("it failed; the plane's log says why")
        return None

    def _look(self, tx: Transaction, catalogue: Catalogue, target: LockTarget, head: int) -> _World:
        radius = measure(tx, catalogue, self._decider.flights, target)
        rows = open_runs_under(tx, catalogue, target)
        if target.kind not in OWNS_RUNS:
            found = agents_under(catalogue, target)
            everything = LockTarget("everything", "*")
            rows = [r for r in open_runs_under(tx, catalogue, everything) if r.agent in found]
        names = [row.run for row in rows[:MOST_RUNS]]
        runs: list[RunFacts] = []
        for start in range(0, len(names), 500):
            runs += recorded_runs(tx, names[start : start + 500]).values()
        told: list[DrillPerson] = []
        nobody: list[str] = []
        for role in radius.told:
            people = sorted(self._notices.people_of(tx, catalogue, role))
            reached = False
            for person in people[:_MOST_LISTED]:
                contacts: list[str | None] = [one.channel for one in contacts_of(person, catalogue)]
                reached = reached or bool(contacts)
                told += [
                    DrillPerson(role=role, person=person, contact=one) for one in contacts or [None]
                ]
            if not reached:
                nobody.append(role)
        return _World(radius, runs, len(rows) - len(names), tuple(told), tuple(nobody), head)

    async def _effects(
        self, catalogue: Catalogue, lock: LockInForce, receipts: Sequence[Receipt], world: _World
    ) -> tuple[DrillEffect, ...]:
        """Return each effect with each party; who is outside is asked whether it answers."""
        limit = asyncio.Semaphore(_MOST_ASKED)

        async def ahead(one: Receipt) -> DrillEffect:
            if one.state != "attempted":
                return _as_effect(one, one.detail.replace(lock.lock, REHEARSED))
            if one.party.startswith(_ROLE):
                return _as_effect(one, _reach(one.party.removeprefix(_ROLE), world.told))
            async with limit:
                begun = time.perf_counter()
                said = await self._ask_ahead(lock, one.effect, one.party)
                took = round((time.perf_counter() - begun) * 1000, 3)
            if said is None:
                return _as_effect(one, f"calls in flight now: {world.radius.in_flight}")
            if not said.supported:
                return DrillEffect(
                    effect=one.effect, party=one.party, state="not supported", detail=said.detail
                )
            if one.party.startswith("upstream/"):
                return _as_effect(one, said.detail)
            return DrillEffect(
                effect=one.effect,
                party=one.party,
                state="attempted",
                detail=said.detail,
                reachable=said.acknowledged is not None,
                after_ms=took,
            )

        found = [*await asyncio.gather(*(ahead(one) for one in receipts))]
        found += _beside(catalogue, lock, world, {one.party for one in found})
        return tuple(found)

    async def _check(self, catalogue: Catalogue, lock: LockInForce, world: _World) -> _Checked:
        """Put the next calls of all that is covered to the decision path, with the lock only."""
        in_force = (_renamed(lock),)
        found = _Checked(left_out=world.runs_left_out)
        target = lock.target
        turn = time.perf_counter()
        for name in _opening(catalogue, target):
            governed = catalogue.agents[name]
            covered = covered_run(catalogue, "", name, governed.version, None)
            refusing = covering(in_force, covered, opening=True)
            _count(found, None if refusing is None else f"lock/{refusing.lock}",
                   DrillAction(agent=name, kind="run", name="open a run", verdict="permit",
                               rule="", reason="the lock does not cover it"))  # fmt: skip
        if lock.mode == "deny-new" and target.kind in OWNS_RUNS:
            return found  # open runs go on: that is what it is for
        for run in world.runs:
            for kind, name in _calls_of(catalogue, target, run.agent):
                if found.checked >= MOST_CHECKED:
                    found.left_out += 1
                    continue
                self._ask(catalogue, in_force, run, kind, name, found)
                if time.perf_counter() - turn > SLICE_SECONDS:
                    await asyncio.sleep(PAUSE_SECONDS)
                    turn = time.perf_counter()
        return found

    def _ask(
        self,
        catalogue: Catalogue,
        in_force: Sequence[LockInForce],
        run: RunFacts,
        kind: ActionKind,
        name: str,
        found: _Checked,
    ) -> None:
        facts = RehearsalFacts(self._decider.store.clock.now(), catalogue, run, in_force)
        begun = time.perf_counter()
        try:
            ruling, _ = decide(Action(kind, name, {}), facts)
            verdict, rule, reason = ruling.verdict, ruling.rule, ruling.reason
        except WatchkeeperError as error:
            verdict, rule, reason = "deny", error.rule or error.code, error.message
        found.milliseconds.append((time.perf_counter() - begun) * 1000)
        by = rule if verdict == "deny" and rule.startswith("lock/") else None
        _count(found, by, DrillAction(agent=run.agent, run=run.run, kind=kind, name=name,
                                      verdict=verdict, rule=rule, reason=reason))  # fmt: skip


def _opening(catalogue: Catalogue, target: LockTarget) -> list[str]:
    """Return the agents whose next runs a lock should refuse."""
    if target.kind not in {"agent", "version", "team", "runtime", "everything"}:
        return []
    return sorted(agents_under(catalogue, target))


def _calls_of(
    catalogue: Catalogue, target: LockTarget, agent: str
) -> Iterator[tuple[ActionKind, str]]:
    """Yield what a covered run might ask for next: what the lock is on, or a sample."""
    governed = catalogue.agents.get(agent)
    tools = sorted(governed.tools) if governed else []
    models = catalogue.reached_by(agent)
    if target.kind in {"tool", "upstream"}:
        locked = tools_under(catalogue, target)
        yield from (("tool", name) for name in tools if name in locked)
    elif target.kind == "model":
        yield from (("model", name) for name in models if name == target.name)
    elif target.kind == "provider":
        for name in models:
            known = catalogue.models.get(name)
            if known and any(one.provider.name == target.name for one in known.targets):
                yield "model", name
    elif target.kind not in {"approval", "workflow"}:
        yield from (("tool", name) for name in tools[:_SAMPLE])
        yield from (("model", name) for name in models[:1])


def _count(found: _Checked, rule: str | None, action: DrillAction) -> None:
    found.checked += 1
    if rule is not None:
        found.refused_by[rule] += 1
        return
    found.passing_count += 1
    if len(found.passing) < _MOST_LISTED:
        found.passing.append(action)


def _renamed(lock: LockInForce) -> LockInForce:
    return LockInForce(
        REHEARSED, lock.target, lock.mode, lock.reason, lock.by, lock.epoch, lock.created_at
    )


def _as_effect(one: Receipt, detail: str) -> DrillEffect:
    return DrillEffect(effect=one.effect, party=one.party, state=one.state, detail=detail)


def _reach(role: str, told: Iterable[DrillPerson]) -> str:
    mine = [one for one in told if one.role == role]
    people = {one.person for one in mine}
    reached = {one.person for one in mine if one.contact is not None}
    return f"{count(len(people), 'person')} of the role, with a contact in force: {len(reached)}"


def _beside(
    catalogue: Catalogue, lock: LockInForce, world: _World, parties: set[str]
) -> Iterator[DrillEffect]:
    """Yield what runs of the covered and is told nothing."""
    for name in world.radius.runtimes:
        if f"runtime/{name}" not in parties:
            yield DrillEffect(
                effect="stop run",
                party=f"runtime/{name}",
                state="not supported",
                detail=f"a {lock.mode} tells runtimes nothing: the gateways refuse what it asks",
            )
    if lock.target.kind in {"upstream", "model", "provider", "approval"}:
        return
    governed = (catalogue.agents.get(name) for name in world.radius.agents)
    tools = {tool for agent in governed if agent is not None for tool in agent.tools}
    used = {catalogue.tools[tool].contract.upstream for tool in tools if tool in catalogue.tools}
    for name in sorted(one for one in used if one):
        document = catalogue.upstreams.get(name)
        if document is not None and document.transport == "stdio":
            yield DrillEffect(
                effect="stop run",
                party=f"upstream/{name}",
                state="not supported",
                detail="a process that others share goes on: a call in flight is cancelled "
                f"there, no more; to end it, lock upstream {name}",
            )


def _findings(
    target: LockTarget,
    mode: Mode,
    world: _World,
    effects: Iterable[DrillEffect],
    checked: _Checked,
) -> Iterator[str]:
    """Yield what would not go as it should."""
    if target.kind == "workflow":
        yield "no action is a workflow's yet: the lock covers nothing"
    elif not world.radius.agents and not world.runs and target.kind != "approval":
        yield "it covers no agent in force and no open run: check the name"
    for role in world.nobody:
        yield f"nobody of {role} has a contact in force: only an open console shows it"
    for one in effects:
        if one.reachable is False:
            yield f"{one.party}: {one.detail}"
        elif one.state == "not supported" and one.party.startswith("runtime/"):
            yield f"{one.party} can't be told: {one.detail}"
    if checked.passing_count:
        calls = count(checked.passing_count, "call")
        yield f"{calls} would not be refused by it, as {checked.passing[0].name}"
    if checked.left_out:
        yield f"not looked at: {checked.left_out:,}, of more than one drill checks"
