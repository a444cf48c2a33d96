"""Replays: recorded decisions decided again under changed policies and contracts.

A replay changes nothing and is kept in memory only. It works in slices of a few milliseconds
between which the plane decides, and holds one page of decisions at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Select, func, select

from watchkeeper.core import ids
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Conflict, NotFound, WatchkeeperError
from watchkeeper.decide.catalogue import Catalogue, build_catalogue
from watchkeeper.decide.models.price_search import known_of
from watchkeeper.decide.policies.applying import after_plan, gaps_of, providers_of, read_files
from watchkeeper.decide.replay.differences import Differences
from watchkeeper.decide.replay.recorded import read_recorded
from watchkeeper.decide.replay.redecision import decide_again
from watchkeeper.decide.replay.run_replay import RUN_NOTES, RunReplay, begin_run_replay
from watchkeeper.decide.tables import decisions
from watchkeeper.identity.model import RunFacts
from watchkeeper.identity.recorded import recorded_runs
from watchkeeper.models.price_book import read_book
from watchkeeper.policy.stages import read_stages
from watchkeeper.registry.rules import plan
from watchkeeper.registry.service import read_standing
from watchkeeper.store.statement import Row
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.policy import ReplayResult, ReplayState, StartReplay

_LOG = logging.getLogger("watchkeeper.replay")
PAGE = 200
SLICE_SECONDS = 0.002
"""How long a replay keeps the event loop before others have their turn."""
PAUSE_SECONDS = 0.001
"""How long it then leaves the loop alone: one decision takes several turns of it."""
MOST_RUNNING = 2
MOST_KEPT = 20
_SIGNS = {"create": "+", "update": "~", "delete": "-"}
_MOST_CHANGES = 100
_CAPPING = ("budget", "agent")
"""Kinds of documents that set caps."""
NOTES = (
    "locks, budgets, rates, pins and identity are not decided again: what they refused stays "
    "refused, and what they let pass is let pass",
    "an approval that was given then counts for whatever now asks for one",
)

MODEL_NOTE = (
    "a policy reads which model had answered: that was recorded only where a policy read it then"
)


@dataclass(slots=True)
class _Replay:
    name: str
    by: str
    since: int
    started_at: int
    total: int = 0
    state: ReplayState = "running"
    ended_at: int | None = None
    error: str | None = None
    changes: tuple[str, ...] = ()
    notes: tuple[str, ...] = NOTES
    found: Differences = field(default_factory=Differences)
    of_run: RunReplay | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def result(self) -> ReplayResult:
        found = self.found
        return ReplayResult(
            replay=self.name,
            state=self.state,
            started_at=self.started_at,
            ended_at=self.ended_at,
            by=self.by,
            since=self.since,
            total=self.total,
            looked_at=found.looked_at,
            same=found.same,
            differ=found.differ,
            other_rule=found.other_rule,
            kept=found.kept,
            skipped=found.skipped,
            groups=found.groups(),
            groups_left_out=found.left_out,
            changes=self.changes,
            notes=self.notes,
            of_run=self.of_run.result() if self.of_run is not None else None,
            error=self.error,
        )


class Replays:
    """The replays of one plane: those that run, and the newest that have ended."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._replays: dict[str, _Replay] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy = 0
        """How many run or are about to."""

    async def start(
        self, wanted: StartReplay, *, by: str, agents: frozenset[str] | None = None
    ) -> ReplayResult:
        """Begin a replay and return how it stands; `agents` are those whose decisions count.

        Raises `Invalid` for files that can't be used, `NotFound` for a run that there is not,
        `Conflict` while too many run.
        """
        if self._busy >= MOST_RUNNING:
            raise Conflict(
                f"{MOST_RUNNING} replays run already", code="busy", remedy="wait until one ends"
            )
        now = self._store.clock.now()
        since = 0 if wanted.run else now - wanted.since_seconds * MICROSECONDS
        replay = _Replay(ids.new("rpl", self._store.clock), by, since, now)
        chosen = _choose(since, wanted, agents)
        self._busy += 1
        try:
            catalogue, replay.changes, replay.of_run = await self._prepare(wanted)
            replay.total = await self._store.scan(lambda tx: _count(tx, chosen, wanted.most))
        except BaseException:
            self._busy -= 1
            raise
        if replay.of_run is not None:
            replay.notes = RUN_NOTES
        if any(
            "model" in rule.reads
            for governed in catalogue.policies.values()
            for rule in governed.file.rules
        ):
            replay.notes = (*replay.notes, MODEL_NOTE)
        self._keep(replay)
        task = asyncio.create_task(self._run(replay, catalogue, chosen), name=replay.name)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return replay.result()

    async def read(self, name: str, *, wait_seconds: float = 0) -> ReplayResult:
        """Return how a replay stands, after its end or `wait_seconds`; raise `NotFound`."""
        replay = self._replays.get(name)
        if replay is None:
            raise NotFound(
                f"there is no replay {name!r:.80}",
                remedy="a plane keeps its newest replays until it stops; start it again",
            )
        if wait_seconds > 0 and replay.state == "running":
            try:
                async with asyncio.timeout(wait_seconds):
                    await replay.ended.wait()
            except TimeoutError:
                pass
        return replay.result()

    async def stop(self) -> None:
        """Give up what runs."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._busy -= 1

    def _keep(self, replay: _Replay) -> None:
        self._replays[replay.name] = replay
        ended = [one for one in self._replays.values() if one.state != "running"]
        for old in ended[: max(0, len(self._replays) - MOST_KEPT)]:
            del self._replays[old.name]

    async def _prepare(
        self, wanted: StartReplay
    ) -> tuple[Catalogue, tuple[str, ...], RunReplay | None]:
        """Return what would be in force, in words what differs from what is, and what takes the
        steps of a run that is wanted.
        """
        files = [(file.path, file.text) for file in wanted.files]
        # megabytes of YAML take seconds: away from the loop
        sources = await asyncio.to_thread(read_files, files)

        def build(tx: Transaction) -> tuple[Catalogue, tuple[str, ...], RunReplay | None]:
            standing = read_standing(tx)
            changes = plan(sources, standing, prune=wanted.prune and bool(sources))
            changed = [change for change in changes if change.change != "unchanged"]
            said = [f"{_SIGNS[one.change]} {one.kind} {one.name}" for one in changed]
            # what is being tried out is tried as if it were enforced
            tried = {source.name for source in sources if source.kind == "policy"}
            stages = {
                name: staged.stage for name, staged in read_stages(tx).items() if name not in tried
            }
            after = after_plan(standing, changes)
            if sources:
                were = gaps_of(standing)
                said += [f"! {gap}" for gap in gaps_of(after) if gap not in were]
            known = known_of(providers_of(after), read_book(tx))
            catalogue = build_catalogue(after, stages, known)
            of_run = None
            if wanted.run is not None:
                capped = any(one.kind in _CAPPING for one in changed)
                of_run = begin_run_replay(tx, wanted.run, catalogue, changed=capped)
            return catalogue, tuple(said[:_MOST_CHANGES]), of_run

        return await self._store.scan(build)

    async def _run(
        self, replay: _Replay, catalogue: Catalogue, chosen: Select[tuple[object, ...]]
    ) -> None:
        try:
            await self._look(replay, catalogue, chosen)
            replay.state = "done"
        except asyncio.CancelledError:
            replay.state, replay.error = "failed", "the plane stopped"
            raise
        except WatchkeeperError as error:
            replay.state, replay.error = "failed", error.message
        except Exception:
            _LOG.exception("replay %s failed", replay.name)
            replay.state, replay.error = "failed", "it failed unexpectedly; see the plane's log"
        finally:
            replay.ended_at = self._store.clock.now()
            replay.ended.set()

    async def _look(
        self, replay: _Replay, catalogue: Catalogue, chosen: Select[tuple[object, ...]]
    ) -> None:
        of_run = replay.of_run
        key = ids.first_at("dec", 0 if of_run is not None else replay.started_at + 1)
        page_of = _page if of_run is None else _following
        loop = asyncio.get_running_loop()
        while replay.found.looked_at < replay.total:
            limit = min(PAGE, replay.total - replay.found.looked_at)
            page = await self._store.scan(
                lambda tx, key=key, most=limit: page_of(tx, chosen, key, most)  # type: ignore[misc]
            )
            if not page:
                return
            turn = loop.time()
            for row, run in page:
                was = read_recorded(row, run)
                anew = decide_again(was, catalogue) if of_run is None else of_run.take(row, was)
                replay.found.add(was, anew.how, anew.ruling)
                if loop.time() - turn > SLICE_SECONDS:
                    await asyncio.sleep(PAUSE_SECONDS)
                    turn = loop.time()
            key = page[-1][0].decision


def _choose(
    since: int, wanted: StartReplay, agents: frozenset[str] | None
) -> Select[tuple[object, ...]]:
    query: Select[tuple[object, ...]] = select(decisions).where(
        decisions.c.decision >= ids.first_at("dec", since)
    )
    if wanted.agent is not None:
        query = query.where(decisions.c.agent == wanted.agent)
    if wanted.run is not None:
        query = query.where(decisions.c.run == wanted.run)
    if agents is not None:
        query = query.where(decisions.c.agent.in_(sorted(agents)))
    return query


def _count(tx: Transaction, chosen: Select[tuple[object, ...]], most: int) -> int:
    few = chosen.with_only_columns(decisions.c.decision).limit(most).subquery()
    return int(tx.connection.execute(select(func.count()).select_from(few)).scalar_one())


def _page(
    tx: Transaction, chosen: Select[tuple[object, ...]], before: str, limit: int
) -> Sequence[tuple[Row, RunFacts | None]]:
    """Return decisions before one, the newest first, with their runs."""
    query = chosen.where(decisions.c.decision < before).order_by(decisions.c.decision.desc())
    return _with_runs(tx, query.limit(limit))


def _following(
    tx: Transaction, chosen: Select[tuple[object, ...]], after: str, limit: int
) -> Sequence[tuple[Row, RunFacts | None]]:
    """Return decisions after one, the oldest first, with their runs."""
    query = chosen.where(decisions.c.decision > after).order_by(decisions.c.decision)
    return _with_runs(tx, query.limit(limit))


def _with_runs(
    tx: Transaction, query: Select[tuple[object, ...]]
) -> Sequence[tuple[Row, RunFacts | None]]:
    rows = tx.connection.execute(query).all()
    runs = recorded_runs(tx, {row.run for row in rows})
    return [(row, runs.get(row.run)) for row in rows]
