"""What upstreams are heard to offer: into the deciding view at once, on record in bounds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.decide.catalogue import Catalogue, CatalogueView
from watchkeeper.decide.refreshing import Refreshing
from watchkeeper.registry.documents import ToolContract
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.tools.pins import service as pins
from watchkeeper.tools.pins.rules import Step, Wanted, observe
from watchkeeper.tools.upstreams.model import ToolDefinition

log = logging.getLogger(__name__)

BURST = 200
"""Changes of one upstream that may be written at once; then one each `EVERY_SECONDS`."""
EVERY_SECONDS = 60
_AT_ONCE = 25
_LONG = 100

Listing = Mapping[str, ToolDefinition]


@dataclass(slots=True)
class _Allowance:
    """What an upstream may still write: it fills up by the clock."""

    left: float
    at: int

    def take(self, wanted: int, now: int) -> int:
        """Take at most `wanted`; return how many were had."""
        filled = (now - self.at) / (EVERY_SECONDS * MICROSECONDS)
        self.left, self.at = min(BURST, self.left + max(0.0, filled)), now
        had = min(wanted, int(self.left))
        self.left -= had
        return had


class Sightings:
    """Compares each listing with the pins.

    The deciding view knows a listing before this returns, so that nothing is permitted under
    a definition that was replaced. The record follows: an upstream that changes all the time
    writes only so much, and what is not written yet is refused all the same.
    """

    def __init__(self, store: Store, view: CatalogueView) -> None:
        self._store = store
        self._view = view
        self._allowances: dict[str, _Allowance] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._refreshing = Refreshing("pins", self._look_again)
        self._version = 0

    async def load(self) -> None:
        """Take over what is on record; raise `Unavailable` if that can't be read."""
        while True:
            version = self._version
            # upstreams may have said a lot, and each definition is read again
            found = await self._store.scan(pins.read_pins)
            if version == self._version:
                self._view.pin(self._view.now.pins.on_record(found))
                return

    async def listed(self, upstream: str, tools: Listing) -> None:
        """Take what an upstream lists; it is on record, as far as it may be, on return."""
        self._view.pin(self._view.now.pins.with_heard(upstream, dict(tools)))
        await self._consider(upstream)

    def follow(self) -> None:
        """Read the record again and compare it with what was heard: either may have changed."""
        self._refreshing.begin()

    async def stop(self) -> None:
        """Let go of what is still being compared."""
        await self._refreshing.stop()

    async def _look_again(self) -> None:
        await self.load()
        for upstream in tuple(self._view.now.pins.heard):
            await self._consider(upstream)

    async def _consider(self, upstream: str) -> None:
        async with self._turns.setdefault(upstream, asyncio.Lock()):
            try:
                await self._keep(upstream)
            except WatchkeeperError as error:
                log.warning("what upstream %s lists is not on record yet: %s", upstream, error)

    async def _keep(self, upstream: str) -> None:
        first = upstream not in self._view.now.pins.seen
        if first:
            if not self._view.now.pins.heard.get(upstream):
                return  # it has nothing to show yet: its first sight is still to come
            await self.load()  # another plane may have seen it since
            first = upstream not in self._view.now.pins.seen
        steps = await self._compare(upstream, first=first)
        now = self._store.clock.now()
        if not first and steps:
            allowance = self._allowances.setdefault(upstream, _Allowance(BURST, now))
            allowed = allowance.take(len(steps), now)
            if allowed < len(steps):
                log.warning(
                    "upstream %s changes too much: %d changes are refused, not yet recorded",
                    upstream, len(steps) - allowed,
                )  # fmt: skip
            steps = steps[:allowed]
        for batch in _batches(steps):
            await self._store.write(partial(self._take, upstream=upstream, batch=batch))
        if first:
            # last: after a crash on the way here, what is left is still pinned as first sight
            await self._store.write(partial(self._take_first, upstream=upstream, steps=steps))

    async def _compare(self, upstream: str, *, first: bool) -> list[Step]:
        catalogue = self._view.now
        known, heard = catalogue.pins.of(upstream), catalogue.pins.heard.get(upstream, {})
        wanted, now = wanted_of(catalogue, upstream), self._store.clock.now()

        def compare() -> list[Step]:
            return observe(upstream, known, heard, wanted, first=first, now=now)

        return compare() if len(heard) < _LONG else await asyncio.to_thread(compare)

    def _take_first(self, tx: Transaction, upstream: str, steps: Sequence[Step]) -> None:
        listing = self._view.now.pins.heard.get(upstream, {})
        pins.record_first(tx, upstream, listing, sum(step.event == "tool.pinned" for step in steps))
        tx.after_commit(lambda: self._view.pin(self._view.now.pins.with_seen(upstream)))

    def _take(self, tx: Transaction, upstream: str, batch: Sequence[Step]) -> None:
        names = names_of(self._view.now, upstream)
        taken = pins.take_steps(tx, batch, lambda tool: names.get(tool, ()))
        tx.after_commit(lambda: self._put(upstream, taken))

    def _put(self, upstream: str, taken: Sequence[Step]) -> None:
        self._version += 1
        written = [step.after for step in taken if step.after is not None]
        removed = [step.tool for step in taken if step.after is None]
        self._view.pin(self._view.now.pins.with_pins(upstream, written, removed))

    async def accept(
        self, upstream: str, tool: str, *, digest: str, person: str, reason: str
    ) -> None:
        """Trust the definition that is offered; raises as `pins.service.accept`."""
        catalogue = self._view.now

        def unit(tx: Transaction) -> None:
            after = pins.accept(
                tx,
                upstream,
                tool,
                digest=digest,
                pins=wanted_of(catalogue, upstream).get(tool, frozenset()),
                names=names_of(catalogue, upstream).get(tool, ()),
                person=person,
                reason=reason,
            )
            step = Step(None, after, "tool.pinned", reason)
            tx.after_commit(lambda: self._put(upstream, [step]))

        await self._store.write(unit)

    async def reject(
        self, upstream: str, tool: str, *, digest: str, person: str, reason: str
    ) -> None:
        """Keep that a definition is not wanted; raises as `pins.service.reject`."""
        names = names_of(self._view.now, upstream).get(tool, ())

        def unit(tx: Transaction) -> None:
            after = pins.reject(
                tx, upstream, tool, digest=digest, names=names, person=person, reason=reason
            )
            step = Step(None, after, "tool.rejected", reason)
            tx.after_commit(lambda: self._put(upstream, [step]))

        await self._store.write(unit)


def wanted_of(catalogue: Catalogue, upstream: str) -> Wanted:
    """Return what the contracts in force name of an upstream, with the digests they pin."""
    wanted: dict[str, set[str]] = {}
    for contract in _over(catalogue, upstream):
        named = wanted.setdefault(contract.offered_as, set())
        if contract.pin is not None:
            named.add(contract.pin)
    return {tool: frozenset(digests) for tool, digests in wanted.items()}


def names_of(catalogue: Catalogue, upstream: str) -> dict[str, tuple[str, ...]]:
    """Return the contracts over each tool of an upstream, by what the upstream calls it."""
    names: dict[str, tuple[str, ...]] = {}
    for contract in _over(catalogue, upstream):
        tool = contract.offered_as
        names[tool] = (*names.get(tool, ()), contract.name)
    return names


def _over(catalogue: Catalogue, upstream: str) -> Iterator[ToolContract]:
    for governed in catalogue.tools.values():
        if governed.contract.upstream == upstream:
            yield governed.contract


def _batches(steps: Sequence[Step]) -> Iterator[Sequence[Step]]:
    for start in range(0, len(steps), _AT_ONCE):
        yield steps[start : start + _AT_ONCE]
