"""Whose token a request carries."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable

from watchkeeper.core.ids import hash_secret
from watchkeeper.decide.kill.locks import lock_on_caller
from watchkeeper.decide.service import Decider
from watchkeeper.identity.model import Caller

_REMEMBERED = 4096


class Callers:
    """Remembers who tokens belonged to: the decision path checks a token itself, every time."""

    def __init__(
        self, decider: Decider, known: Callable[[str], Awaitable[Caller]] | None = None
    ) -> None:
        """`known` tells whose tokens are that are no run's."""
        self._decider = decider
        self._known = known or decider.identify
        self._seen: OrderedDict[str, Caller] = OrderedDict()

    async def identify(self, token: str) -> Caller:
        """Return whose token this is now.

        Raises `Unauthenticated`, `Unavailable`, or `Forbidden` while everything is stopped by the
        switch file.
        """
        self._decider.check_switch()
        caller = await self._known(token)
        self._seen[hash_secret(token)] = caller
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return caller

    async def recognise(self, token: str) -> Caller:
        """Return whose run token this is, or was: for what the decision path checks anyway."""
        self._decider.check_switch()
        return self._seen.get(hash_secret(token)) or await self.identify(token)

    def lock_on(
        self, caller: Caller, *, tool: str | None = None, model: str | None = None
    ) -> str | None:
        """Return what refuses a caller now, with what it would use; None: no lock does.

        For what is shown: the decision path looks itself, every time.
        """
        return lock_on_caller(self._decider, caller, tool=tool, model=model)
