"""The decision path as the gateways use it, over the plane's decider."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager

from watchkeeper.core.ids import hash_secret
from watchkeeper.decide.service import Decider
from watchkeeper.gateways.port import Caller, InFlight
from watchkeeper.identity.rules import check_token
from watchkeeper.identity.runs import facts_of
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import Answer, Ask, Outcome

_REMEMBERED = 4096


class PathDecisions:
    """Adds to the decider who a token belongs to."""

    def __init__(self, decider: Decider) -> None:
        self._decider = decider
        self._seen: OrderedDict[str, Caller] = OrderedDict()

    async def identify(self, token: str) -> Caller:
        """Return whose run token this is now; raise `Unauthenticated` or `Unavailable`."""

        def read(tx: Transaction) -> Caller:
            facts = check_token(facts_of(tx, token), tx.now)
            return Caller(facts.agent, facts.run)

        caller = await self._decider.store.read(read)
        self._seen[hash_secret(token)] = caller
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return caller

    def recall(self, token: str) -> Caller | None:
        """Return whose run token this was when last seen; it may have been revoked since."""
        return self._seen.get(hash_secret(token))

    async def decide(self, token: str, ask: Ask, *, wait_seconds: float = 0) -> Answer:
        """Permit, hold or deny; raise as the decider does."""
        return await self._decider.decide(token, ask, wait_seconds=wait_seconds)

    async def wait(self, request: str, seconds: float) -> None:
        """Return when an approval request is decided, or after `seconds`."""
        await self._decider.wait(request, seconds)

    async def settle(self, decision: str, outcome: Outcome, *, token: str | None = None) -> None:
        """Record how a permitted action ended; only the first outcome counts."""
        await self._decider.settle(decision, outcome, token=token)

    def in_flight(
        self, decision: str, cancel: Callable[[], None]
    ) -> AbstractContextManager[InFlight]:
        """Register what is being performed, so that a kill can cancel it."""
        return self._decider.in_flight(decision, cancel)
