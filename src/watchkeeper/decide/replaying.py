"""Replays: recorded decisions decided again under changed policies and contracts.

A replay changes nothing and is kept in memory only. It works in slices of a few milliseconds
between which the plane decides, and holds one page of decisions at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Select, bindparam, func, select

from watchkeeper.core import ids
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Conflict, NotFound, WatchkeeperError
from watchkeeper.decide.again import decide_again, read_recorded
from watchkeeper.decide.applying import after_plan, providers_of, read_files
from watchkeeper.decide.catalogue import Catalogue, build_catalogue
from watchkeeper.decide.differences import Differences
from watchkeeper.decide.price_search import known_of
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

        Raises `Invalid` for files that can't be used, `Conflict` while too many run.
        """
        if self._busy >= MOST_RUNNING:
            raise Conflict(
                f"{MOST_RUNNING} replays run already", code="busy", remedy="wait until one ends"
            )
        now = self._store.clock.now()
        since = now - wanted.since_seconds * MICROSECONDS
        replay = _Replay(ids.new("rpl", self._store.clock), by, since, now)
        chosen = _choose(since, wanted.agent, agents)
        self._busy += 1
        try:
            catalogue, replay.changes = await self._prepare(wanted)
            replay.total = await self._store.scan(lambda tx: _count(tx, chosen, wanted.most))
        except BaseException:
            self._busy -= 1
            raise
        if any(
            "model" in rule.reads
            for governed in catalogue.policies.values()
            for rule in governed.file.rules
        ):
            replay.notes = (*NOTES, MODEL_NOTE)
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

    async def _prepare(self, wanted: StartReplay) -> tuple[Catalogue, tuple[str, ...]]:
        """Return what would be in force, and in words what differs from what is."""
        files = [(file.path, file.text) for file in wanted.files]
        # megabytes of YAML take seconds: away from the loop
        sources = await asyncio.to_thread(read_files, files)

        def build(tx: Transaction) -> tuple[Catalogue, tuple[str, ...]]:
            standing = read_standing(tx)
            changes = plan(sources, standing, prune=wanted.prune and bool(sources))
            said = [
                f"{_SIGNS[change.change]} {change.kind} {change.name}"
                for change in changes
                if change.change != "unchanged"
            ]
            # what is being tried out is tried as if it were enforced
            tried = {source.name for source in sources if source.kind == "policy"}
            stages = {
                name: staged.stage for name, staged in read_stages(tx).items() if name not in tried
            }
            after = after_plan(standing, changes)
            known = known_of(providers_of(after), read_book(tx))
            catalogue = build_catalogue(after, stages, known)
            return catalogue, tuple(said[:_MOST_CHANGES])

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
        before = ids.first_at("dec", replay.started_at + 1)
        loop = asyncio.get_running_loop()
        while replay.found.looked_at < replay.total:
            limit = min(PAGE, replay.total - replay.found.looked_at)
            page = await self._store.scan(
                lambda tx, key=before, most=limit: _page(tx, chosen, key, most)  # type: ignore[misc]
            )
            if not page:
                return
            turn = loop.time()
            for row, run in page:
                was = read_recorded(row, run)
                how, ruling = decide_again(was, catalogue)
                replay.found.add(was, how, ruling)
                if loop.time() - turn > SLICE_SECONDS:
                    await asyncio.sleep(PAUSE_SECONDS)
                    turn = loop.time()
            before = page[-1][0].decision


def _choose(
    since: int, agent: str | None, agents: frozenset[str] | None
) -> Select[tuple[object, ...]]:
    query: Select[tuple[object, ...]] = select(decisions).where(
        decisions.c.decision >= ids.first_at("dec", since)
    )
    if agent is not None:
        query = query.where(decisions.c.agent == agent)
    if agents is not None:
        query = query.where(decisions.c.agent.in_(sorted(agents)))
    return query


def _count(tx: Transaction, chosen: Select[tuple[object, ...]], most: int) -> int:
    few = chosen.with_only_columns(decisions.c.decision).limit(most).subquery()
    return int(tx.connection.execute(select(func.count()).select_from(few)).scalar_one())


def _page(
    tx: Transaction, chosen: Select[tuple[object, ...]], before: str, limit: int
) -> Sequence[tuple[Row, RunFacts | None]]:
    rows = tx.connection.execute(
        chosen.where(decisions.c.decision < bindparam("before"))
        .order_by(decisions.c.decision.desc())
        .limit(limit),
        {"before": before},
    ).all()
    runs = recorded_runs(tx, {row.run for row in rows})
    return [(row, runs.get(row.run)) for row in rows]
