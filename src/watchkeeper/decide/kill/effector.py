"""What carries the effects of locks out, with whoever it takes outside the store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.decide.kill.effects import Reach
from watchkeeper.kill.model import LockInForce
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.locks import Effect

_LOG = logging.getLogger(__name__)
ATTEMPT_SECONDS = 5.0
"""How long a party has to acknowledge before its receipt says unconfirmed."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a party says. `acknowledged` by whom; or why not; or that it can't be done there."""

    detail: str
    acknowledged: str | None = None
    supported: bool = True


class Effector(Protocol):
    """Carries one effect of locks out, with all parties of one kind."""

    effect: Effect
    kind: str
    """What the names of its parties begin with, as `runtime` in `runtime/NAME`."""
    pauses: bool
    """Whether its parties are told of a pause too, and not only of what ends runs."""

    def parties(self, tx: Transaction, lock: LockInForce, reach: Reach) -> Sequence[str]:
        """Return whom a lock concerns, as it comes into force; written down before any is told."""
        ...

    async def carry_out(self, lock: LockInForce, party: str) -> Done:
        """Tell one party, and return what it says; may be called again, and must bear it."""
        ...


@runtime_checkable
class Rehearses(Effector, Protocol):
    """An effector that can say beforehand what would come of telling a party."""

    async def rehearse(self, lock: LockInForce, party: str) -> Done:
        """Ask, without any effect, whether a party answers and can do it; `acknowledged` names
        who answered.
        """
        ...


class Effectors:
    """Everybody who carries effects out in this plane, found by a party's name."""

    def __init__(self, effectors: Iterable[Effector]) -> None:
        self._by_kind = {one.kind: one for one in effectors}

    def __iter__(self) -> Iterator[Effector]:
        return iter(self._by_kind.values())

    def add(self, effector: Effector) -> None:
        """Have one more carry its effect out."""
        self._by_kind[effector.kind] = effector

    async def carry_out(self, lock: LockInForce, party: str) -> Done:
        """Tell one party, within its time."""
        effector = self._by_kind.get(_kind(party))
        if effector is None:
            return Done("nobody in this plane carries it out any more")
        return await _answered(effector.carry_out(lock, party), party)

    async def rehearse(self, lock: LockInForce, party: str) -> Done | None:
        """Ask beforehand what would come of telling a party; None: nobody can say."""
        effector = self._by_kind.get(_kind(party))
        if not isinstance(effector, Rehearses):
            return None
        return await _answered(effector.rehearse(lock, party), party)


def name_of(party: str) -> str:
    """Return the name within a party's, as NAME in `runtime/NAME`."""
    return party.partition("/")[2]


def _kind(party: str) -> str:
    return party.partition("/")[0]


async def _answered(work: Awaitable[Done], party: str) -> Done:
    try:
        async with asyncio.timeout(ATTEMPT_SECONDS):
            return await work
    except TimeoutError:
        return Done(f"no answer in {ATTEMPT_SECONDS:g} s")
    except WatchkeeperError as error:
        return Done(error.message)
    except Exception:
        _LOG.exception("telling %s of a lock failed", party)
        return Done("it failed; the plane's log says why")
