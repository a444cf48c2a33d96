"""What carries an effect of a lock out, with whoever it takes outside the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from watchkeeper.decide.effects import Reach
from watchkeeper.kill.model import LockInForce
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.locks import Effect


@dataclass(frozen=True, slots=True)
class Done:
    """What a party says. `acknowledged` by whom; or why not; or that it can't be done there."""

    detail: str
    acknowledged: str | None = None
    supported: bool = True


class Effector(Protocol):
    """Carries one effect of locks out."""

    effect: Effect

    def parties(self, tx: Transaction, lock: LockInForce, reach: Reach) -> Sequence[str]:
        """Return whom a lock concerns, as it comes into force; written down before any is told."""
        ...

    async def carry_out(self, lock: LockInForce, party: str) -> Done:
        """Tell one party, and return what it says; may be called again, and must bear it.

        Raises `LookupError` where it is another one's party.
        """
        ...


@runtime_checkable
class Rehearses(Protocol):
    """An effector that can say beforehand what would come of telling a party."""

    async def rehearse(self, lock: LockInForce, party: str) -> Done:
        """Ask, without any effect, whether a party answers and can do it; `acknowledged` names
        who answered. Raises `LookupError` where it is another one's party.
        """
        ...
