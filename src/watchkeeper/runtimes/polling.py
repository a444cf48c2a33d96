"""Asking runtimes what runs there: each in its own time, so that none holds up another."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from watchkeeper.core.chance import Chance, SystemChance
from watchkeeper.core.clock import Clock
from watchkeeper.core.errors import Unavailable, WatchkeeperError
from watchkeeper.decide.catalogue import CatalogueView
from watchkeeper.registry.runtimes import Runtime
from watchkeeper.runtimes import changes, records, rogues, rules, states
from watchkeeper.runtimes.adapters import open_adapter
from watchkeeper.runtimes.model import (
    MOST_RUNS,
    Adapter,
    Information,
    Interrupt,
    Launches,
    Launching,
    Listing,
    Offered,
    RemoteRun,
)
from watchkeeper.store.statement import Row
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.tools.upstreams.credentials import Credentials
from watchkeeper.tools.upstreams.egress import Egress
from watchkeeper.tools.upstreams.model import UpstreamFailure
from watchkeeper.wire.runtimes import Verb

_LOG = logging.getLogger("watchkeeper.runtimes")
LONGEST_POLL_SECONDS = 30.0
AT_ONCE = 50
"""How many runs are kept in one unit of work."""
_INSPECTED = 100
"""How many runs that are listed no more are asked for in one poll."""
_DISCOVER_EVERY = 30
"""Polls between two looks at which agents a runtime has."""
T = TypeVar("T")
_Told = tuple[bool, RemoteRun | None]
OnWaiting = Callable[[Runtime, Sequence[Interrupt], bool], Awaitable[None]]
"""Takes what waits for a person in a runtime, each time it was asked, and whether that is all."""


@dataclass(slots=True)
class Watched:
    """One runtime in force, with its adapter."""

    document: Runtime
    adapter: Adapter
    next_at: int = 0
    failures: int = 0
    polls: int = 0
    task: asyncio.Task[None] | None = None
    """The poll that is under way."""
    untold: bool = True
    """Whether people may have to be told of rogue runs."""


@dataclass(slots=True)
class Look:
    """What came of asking a runtime once."""

    information: Information | None = None
    latency_us: int | None = None
    listing: Listing | None = None
    offered: Sequence[Offered] | None = None
    waiting: Sequence[Interrupt] | None = None
    problems: list[str] = field(default_factory=list)


class Polling:
    """Keeps an adapter for each runtime in force, and asks each in turn."""

    def __init__(
        self,
        store: Store,
        view: CatalogueView,
        egress: Egress,
        credentials: Credentials,
        directory: Path,
        *,
        chance: Chance | None = None,
    ) -> None:
        self._store = store
        self._view = view
        self._egress = egress
        self._credentials = credentials
        self._directory = directory
        self._chance = chance or SystemChance()
        self._watched: dict[str, Watched] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.on_waiting: OnWaiting | None = None
        self.on_listed: Callable[[Runtime], Awaitable[None]] | None = None
        """Told of a runtime each time it has said what runs there."""
        self.launches: Launches | None = None
        """Opens runs for what adapters start themselves."""

    @property
    def _clock(self) -> Clock:
        return self._store.clock

    async def start(self) -> None:
        """Open the runtimes in force; what was known of them still is, with its age."""
        known = await self._store.read(states.states)
        self.follow()
        for name, watched in self._watched.items():
            watched.failures = known[name].failures if name in known else 0

    def follow(self) -> None:
        """Follow a change of what is in force: open, close, or open anew what has changed."""
        wanted = self._view.now.runtimes
        for name in [*self._watched]:
            if wanted.get(name) != self._watched[name].document:
                self._spawn(self._close(self._watched.pop(name)), f"closing runtime {name}")
        for name, document in wanted.items():
            if name not in self._watched:
                adapter = open_adapter(
                    document, self._egress, self._credentials, self._clock, self._directory / name
                )
                if self.launches is not None and isinstance(adapter, Launching):
                    adapter.follow(self.launches)
                self._watched[name] = Watched(document, adapter)

    def get(self, name: str) -> Watched | None:
        """Return a runtime in force with its adapter, or None."""
        return self._watched.get(name)

    def watched(self) -> list[tuple[str, Watched]]:
        """Return every runtime in force, by name."""
        return list(self._watched.items())

    def can(self, name: str) -> frozenset[Verb]:
        """Return what a runtime's adapter can do."""
        watched = self._watched.get(name)
        return watched.adapter.can if watched else frozenset()

    def poll_due(self) -> None:
        """Begin to ask every runtime whose time has come, unless it is being asked still."""
        now = self._clock.now()
        for name, watched in self._watched.items():
            if watched.next_at <= now and (watched.task is None or watched.task.done()):
                watched.task = self._spawn(self._poll(watched), f"poll of runtime {name}")

    async def poll(self, name: str) -> None:
        """Ask a runtime now; where it is being asked already, wait for that."""
        watched = self._watched.get(name)
        if watched is None:
            return
        if watched.task is None or watched.task.done():
            watched.task = self._spawn(self._poll(watched), f"poll of runtime {name}")
        await asyncio.wait([watched.task])

    async def stop(self) -> None:
        """Ask no more, and let go of every adapter."""
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        closing = [self._close(watched) for watched in self._watched.values()]
        self._watched.clear()
        await asyncio.gather(*closing, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        async def run() -> None:
            try:
                await work
            except WatchkeeperError as error:
                _LOG.warning("%s: %s", name, error)
            except Exception:
                _LOG.exception("%s failed", name)

        task = asyncio.get_running_loop().create_task(run(), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _close(self, watched: Watched) -> None:
        if watched.task is not None:
            watched.task.cancel()
            await asyncio.gather(watched.task, return_exceptions=True)
        async with asyncio.timeout(LONGEST_POLL_SECONDS):
            await watched.adapter.close()

    async def _poll(self, watched: Watched) -> None:
        document = watched.document
        discovers = watched.polls % _DISCOVER_EVERY == 0
        watched.polls += 1
        look = Look()
        try:
            async with asyncio.timeout(LONGEST_POLL_SECONDS):
                await _ask(watched.adapter, look, discovers=discovers)
        except TimeoutError:
            look.problems.append(f"it did not say what runs there in {LONGEST_POLL_SECONDS:g} s")
        except UpstreamFailure as failure:
            look.problems.append(failure.message)
        except Unavailable as error:
            look.problems.append(error.message)
        except Exception as error:
            _LOG.exception("runtime %s answers what its adapter cannot read", document.name)
            look.problems.append(f"it answers what can't be read ({type(error).__name__})")
        if self._watched.get(document.name) is not watched:
            return  # its document changed meanwhile
        well = look.information is not None and look.listing is not None
        watched.failures = 0 if well else watched.failures + 1
        watched.next_at = rules.next_poll_at(
            self._clock.now(),
            seconds=document.poll_seconds,
            failures=watched.failures,
            fraction=self._chance.fraction(),
        )
        await self._keep(watched, look)

    async def _keep(self, watched: Watched, look: Look) -> None:
        document, listing = watched.document, look.listing
        runs, complete = _usable(listing.runs) if listing else ([], True)
        complete = complete and (listing is None or listing.complete)
        if left_out := await self._keep_runs(watched, runs):
            complete = False
            look.problems.append(
                f"{left_out} left out: no more than {changes.MOST_KEPT:,} of its runs are kept"
            )
        problem = "; ".join(look.problems) or None
        if look.information is not None and not look.information.authorised:
            problem = "it refuses the plane's credential"
        health = rules.health_of(
            failures=watched.failures,
            problem=problem,
            latency_us=look.latency_us,
            listed=listing is not None,
        )

        def keep(tx: Transaction) -> None:
            states.keep_state(
                tx,
                document.name,
                health=health,
                problem=problem,
                version=look.information.version if look.information else None,
                latency_us=look.latency_us,
                answered=look.information is not None,
                listed=listing is not None,
                complete=complete,
                failures=watched.failures,
                offered=look.offered,
            )

        await self._store.write(keep)
        if listing is not None:
            await self._miss(watched, {run.id for run in runs})
            if self.on_listed is not None:
                await self.on_listed(document)
        if look.waiting is not None and self.on_waiting is not None:
            await self.on_waiting(document, look.waiting, complete)

    async def _keep_runs(self, watched: Watched, runs: Sequence[RemoteRun]) -> int:
        """Keep what a runtime tells of its runs; return how many there was no room for."""
        document, left_out = watched.document, 0

        def find_changed(tx: Transaction) -> list[RemoteRun]:
            live = records.live_runs(tx, document.name)
            return [run for run in runs if records.differs(tx, document, live.get(run.id), run)]

        for part in _parts(await self._store.scan(find_changed)):

            def keep(tx: Transaction, part: Sequence[RemoteRun] = part) -> list[records.Taken]:
                tx.silent("what has not changed has no event")
                return [records.take(tx, document, run) for run in part]

            taken = await self._store.write(keep)
            left_out += taken.count("left out")
            watched.untold = watched.untold or "rogue" in taken
        if watched.untold:
            last, found = await self._store.scan(lambda tx: rogues.untold(tx, document.name))
            if found and rogues.is_time(last, self._clock.now()):
                await self._store.write(lambda tx: rogues.tell(tx, document, found))
                found = []
            watched.untold = bool(found)
        return left_out

    async def _miss(self, watched: Watched, listed: set[str]) -> None:
        """Ask for the runs that are listed no more how they ended."""
        name = watched.document.name
        live = await self._store.scan(lambda tx: records.live_runs(tx, name))
        gone = [row for id, row in live.items() if id not in listed]
        # those asked for longest ago first, should there be more than are asked for at once
        gone.sort(key=lambda row: (row.lost_at is not None, row.missing_since or 0))
        for part in _parts(gone[:_INSPECTED], 10):
            answers = await asyncio.gather(*(_inspect(watched.adapter, row) for row in part))

            found = list(zip(part, answers, strict=True))

            def keep(tx: Transaction, found: Sequence[tuple[Row, _Told]] = found) -> None:
                tx.silent("what has not changed has no event")
                for row, (asked, run) in found:
                    if run is not None:
                        records.take(tx, watched.document, run)
                    elif asked and row.lost_at is None:
                        changes.miss(tx, row)

            await self._store.write(keep)


async def _ask(adapter: Adapter, look: Look, *, discovers: bool) -> None:
    began = time.monotonic()
    look.information = await adapter.information()
    if look.information.problem is not None:
        look.problems.append(look.information.problem)
    look.latency_us = round((time.monotonic() - began) * 1_000_000)
    if discovers:
        look.offered = await adapter.discover()
    if "list" in adapter.can:
        look.listing = await adapter.list_runs()
    else:
        look.listing = Listing((), complete=False)
    if "answer" in adapter.can:
        look.waiting = await adapter.waiting()


async def _inspect(adapter: Adapter, row: Row) -> _Told:
    """Return whether a runtime answered, and what it says of a run; None: it knows none such."""
    try:
        found = await adapter.inspect(records.remote_of(row))
    except (UpstreamFailure, Unavailable):
        return False, None
    return True, found


def _usable(runs: Iterable[RemoteRun]) -> tuple[list[RemoteRun], bool]:
    """Return the runs that can be named here, each once, and whether those are all."""
    found: dict[str, RemoteRun] = {}
    whole = True
    for run in runs:
        if len(found) >= MOST_RUNS or not rules.usable(run):
            whole = False
            continue
        found.setdefault(run.id, run)
    return list(found.values()), whole


def _parts(rows: Sequence[T], size: int = AT_ONCE) -> Iterable[Sequence[T]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
