"""The run that stands for each session of a coding agent, and its token."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from watchkeeper.core.errors import Forbidden, Unauthenticated
from watchkeeper.core.ids import hash_secret
from watchkeeper.core.tracing import TraceContext
from watchkeeper.decide.catalogue import CatalogueView
from watchkeeper.decide.runs.envelope import Envelopes
from watchkeeper.decide.runs.sessions import SESSION, environment_of, find_session, waiting_in
from watchkeeper.decide.service import Decider
from watchkeeper.identity.enrolment import agent_of
from watchkeeper.identity.model import IssuedRun, NewRun
from watchkeeper.store.statement import Row

T = TypeVar("T")

_REMEMBERED = 4096
RUN_TOKEN = "wkr_"  # noqa: S105 - how such tokens begin


@dataclass(slots=True)
class Session:
    """One session of one agent. `run` is None until it has one."""

    credential: str
    name: str
    goal: str
    opener: TraceContext | None = None
    """The span that its framework was started in."""
    run: IssuedRun | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Sessions:
    """Finds the run of a session, and opens one for a session that has none.

    Which run it is, is on record; here only the tokens are remembered, which are nowhere kept.
    """

    def __init__(self, decider: Decider, view: CatalogueView) -> None:
        self._decider = decider
        self._view = view
        self._envelopes = Envelopes(decider)
        self._seen: OrderedDict[tuple[str, str], Session] = OrderedDict()
        self._admitted: OrderedDict[str, None] = OrderedDict()

    async def admit(self, bearer: str) -> None:
        """Raise `Unauthenticated` for a bearer that is nobody's, before anything else is read.

        One that was somebody's is remembered: what it may do now, each decision finds out itself.
        """
        key = hash_secret(bearer)
        if key in self._admitted:
            return
        if bearer.startswith(RUN_TOKEN):
            await self._decider.identify(bearer)
        else:
            await self._decider.store.read(lambda tx: agent_of(tx, bearer))
        self._admitted[key] = None
        if len(self._admitted) > _REMEMBERED:
            self._admitted.popitem(last=False)

    def session(
        self, bearer: str, name: str, goal: str, opener: TraceContext | None = None
    ) -> Session:
        """Return the session of a credential; with a run's token, that run whatever the name."""
        if bearer.startswith(RUN_TOKEN):
            return Session(bearer, name, goal, run=IssuedRun("", bearer, 0))
        key = (hash_secret(bearer), name)
        session = self._seen.pop(key, None) or Session(bearer, name, goal, opener)
        self._seen[key] = session
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return session

    async def within(self, session: Session, work: Callable[[str], Awaitable[T]]) -> T:
        """Do `work` with a token of the session's run.

        Raises `Unauthenticated` for a credential that is not known, `Forbidden` where the session
        was stopped or no run may be opened, and what `work` raises.
        """
        run = await self._open(session)
        try:
            return await work(run.token)
        except Unauthenticated:
            if session.credential.startswith(RUN_TOKEN):
                raise
        # it has expired, or the run has ended: what is on record says how the session goes on
        async with session.turn:
            again = session.run
            if again is None or again is run:
                again = session.run = await self._find(session)
        return await work(again.token)

    async def fresh(self, session: Session) -> IssuedRun:
        """Return a token of the session's run that has all its time before it."""
        async with session.turn:
            session.run = await self._find(session)
            return session.run

    async def end(self, session: Session) -> bool:
        """Close the run unless something of it waits for a person; tell whether it is closed."""
        if session.credential.startswith(RUN_TOKEN):
            return False
        _, row = await self._look(session)
        if row is None or row.state != "open":
            return True
        if await self.waiting(row.run):
            return False
        await self._envelopes.close(session.credential, row.run, "succeeded", None)
        session.run = None
        return True

    async def waiting(self, run: str) -> list[Row]:
        """Return what waits for people in a run, or was approved and not used yet."""
        return await self._decider.store.read(lambda tx: waiting_in(tx, run))

    async def find(self, credential: str, name: str) -> str | None:
        """Return the run of a session, or None if it never had one."""
        _, row = await self._look(Session(credential, name, ""))
        return row.run if row is not None else None

    async def _open(self, session: Session) -> IssuedRun:
        if session.run is not None:
            return session.run
        async with session.turn:
            if session.run is None:
                session.run = await self._find(session)
            return session.run

    async def _look(self, session: Session) -> tuple[str, Row | None]:
        return await self._decider.store.read(
            lambda tx: find_session(tx, session.credential, session.name)
        )

    async def _find(self, session: Session) -> IssuedRun:
        agent, row = await self._look(session)
        if row is not None and row.state == "stopped":
            raise Forbidden(
                f"this session's run {row.run} was stopped by a kill",
                rule="lock/run-stopped",
                remedy="begin a new session once a person says so",
            )
        if row is not None and row.state == "open":
            _, issued = await self._envelopes.renew(session.credential, row.run)
            return issued
        new = NewRun(
            session.goal,
            object_kind=SESSION,
            object_id=session.name,
            environment=environment_of(self._view.now, agent),
            caller=session.opener,
        )
        _, issued = await self._envelopes.open(session.credential, new)
        return issued
