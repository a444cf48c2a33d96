"""Drills: a lock rehearsed without effect, and measured.

All that a lock does in the store is done and undone in one unit of work; the calls of what it
covers are put to the decision path with the lock in force, which they never see; whoever would be
told outside is asked at most whether they answer. What is kept is the report, with its digest.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Iterator, Sequence

from watchkeeper.core.digest import canonical, digest
from watchkeeper.core.words import count
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.incidents.opening import team_of
from watchkeeper.decide.kill.drills.checking import REHEARSED, Checked, check, opened_by
from watchkeeper.decide.kill.drills.parties import effects_of
from watchkeeper.decide.kill.drills.world import World, look_around
from watchkeeper.decide.kill.stop import KillSwitch
from watchkeeper.decide.kill.targets import check_target
from watchkeeper.decide.notices.concerned import Notices
from watchkeeper.decide.service import Decider
from watchkeeper.kill import drills
from watchkeeper.kill.model import LockInForce, LockTarget, NewLock, Receipt
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.drills import DrillEffect, DrillReport
from watchkeeper.wire.locks import Mode, Target


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
        world = await store.scan(
            lambda tx: look_around(
                tx, catalogue, self._decider.flights, self._notices, target, store.head
            )
        )
        begun = time.perf_counter()
        new = NewLock(target, mode=mode, reason=reason, by=by)
        undone = await self._lock_and_undo(catalogue, new)
        lock, receipts = undone.lock, undone.receipts
        turn_ms = (time.perf_counter() - begun) * 1000
        effects = await effects_of(self._kill.effectors, catalogue, lock, receipts, world)
        checked = await check(catalogue, lock, world, store.clock.now())
        shown = Target(kind=target.kind, name=target.name)
        report = DrillReport(
            target=shown,
            mode=mode,
            by=by,
            reason=lock.reason,
            at=store.clock.now(),
            sequence=world.sequence,
            radius=world.radius,
            effects=effects,
            told=world.told,
            nobody=world.nobody,
            agents=len(opened_by(catalogue, target)),
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
        return await store.write(
            lambda tx: drills.keep(tx, report, text, name, team=team_of(tx, catalogue, target))
        )

    async def _lock_and_undo(self, catalogue: Catalogue, new: NewLock) -> _Undone:
        """Do all that a lock does in the store, and undo it before anybody sees it."""

        def unit(tx: Transaction) -> None:
            begun = time.perf_counter()
            lock, receipts = self._kill.lock_in(tx, catalogue, new)
            raise _Undone(lock, receipts, (time.perf_counter() - begun) * 1000)

        try:
            await self._decider.store.write(unit)
        except _Undone as undone:
            return undone
        raise AssertionError("a rehearsal is always undone")


def _findings(
    target: LockTarget,
    mode: Mode,
    world: World,
    effects: Iterable[DrillEffect],
    checked: Checked,
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
