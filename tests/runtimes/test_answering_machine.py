"""Whatever happens around interrupts, each is answered at most once, and as it was decided."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.rig.machines import machine_settings
from tests.rig.stores import sqlite_url
from tests.runtimes.watched import Ground, watching
from watchkeeper.approvals.rows import find
from watchkeeper.approvals.service import cast_vote
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.decide.people.directory import PeopleInForce
from watchkeeper.kill.model import LockTarget, NewLock
from watchkeeper.runtimes.tables import interrupts
from watchkeeper.store.statement import Row

T = TypeVar("T")
QUESTION = {
    "action_requests": [{"name": "stripe.refund", "args": {"amount_usd": 40}}],
    "review_configs": [],
}
ENDED = {"applied", "gone", "failed"}


class Answering(RuleBasedStateMachine):
    """Runs that ask, people who decide, a server that breaks, and a plane that ends."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = tempfile.TemporaryDirectory()
        self.stack = AsyncExitStack()
        self.asked = 0
        self.approved: set[str] = set()
        """Interrupts that a person approved, whatever came of that."""

    def run(self, work: Awaitable[T]) -> T:
        async def wait() -> T:
            return await work

        return self.runner.run(wait())

    @initialize()
    def begin(self) -> None:
        url = sqlite_url(Path(self.directory.name))
        self.ground: Ground = self.run(self.stack.enter_async_context(watching(url)))
        self.kill = self.ground.kill

    def teardown(self) -> None:
        if hasattr(self, "ground"):
            self.settle_all()
            self.run(self.stack.aclose())
        self.runner.close()
        self.directory.cleanup()

    @rule()
    def ask(self) -> None:
        if self.asked < 4:
            self.asked += 1
            run = self.ground.server.begin(ours=self.run(self.ground.open()))
            self.ground.server.ask(run, QUESTION, f"ask-{self.asked}")
            self.poll()

    @rule()
    def poll(self) -> None:
        self.run(self.ground.poll(seconds=400))

    @rule(pick=st.integers(0, 9), verdict=st.sampled_from(["approve", "approve", "reject"]))
    def decide(self, pick: int, verdict: Any) -> None:
        if rows := self.rows():
            request = rows[pick % len(rows)].request
            try:
                state = self.run(self._vote(request, verdict))
            except WatchkeeperError:
                return  # it was decided before
            if state == "approved":
                self.approved.add(rows[pick % len(rows)].interrupt)

    async def _vote(self, request: str, verdict: Any) -> str:
        row = await self.ground.store.read(lambda tx: find(tx, request))
        return await self.ground.store.write(
            lambda tx: cast_vote(
                tx, request, person="person/ada", roles=frozenset({"*"}), verdict=verdict,
                digest=row.digest, reason="I looked",
                people=PeopleInForce(tx, self.ground.view.now),
            )
        )  # fmt: skip

    @rule(seconds=st.sampled_from([0, 5, 60]))
    def carry(self, seconds: int) -> None:
        self.ground.clock.advance(seconds)
        self.run(self._carry())

    async def _carry(self) -> None:
        await asyncio.gather(*(self.ground.runtimes.carry_due() for _ in range(3)))
        answers = self.ground.runtimes.answers
        await asyncio.gather(*tuple(answers._tasks))

    @rule()
    def crash_while_carrying(self) -> None:
        self.ground.clock.advance(60)
        self.run(self._crash())

    async def _crash(self) -> None:
        """End the plane while the server has its answers and has not said so."""
        server, given = self.ground.server, len(self.ground.server.resumed)
        server.released.clear()
        server.holds_back = True
        await self.ground.runtimes.carry_due()
        tasks = tuple(self.ground.runtimes.answers._tasks)
        for _ in range(100):
            if len(server.resumed) > given or all(task.done() for task in tasks):
                break
            await asyncio.wait(tasks, timeout=0.01)
        await self.ground.restart()
        server.holds_back = False
        server.released.set()

    @rule(pick=st.integers(0, 9))
    def answered_there(self, pick: int) -> None:
        server = self.ground.server
        waiting = [name for name, one in server.threads.items() if one["status"] == "interrupted"]
        if waiting:
            server.end(server.runs[waiting[pick % len(waiting)]][0]["run_id"])

    @rule(pick=st.integers(0, 9))
    def killed(self, pick: int) -> None:
        rows = self.run(self.ground.runs())
        ours = sorted({row.run for row in rows.values() if row.run})
        if ours:
            target = LockTarget("run", ours[pick % len(ours)])
            self.run(self.kill.lock(NewLock(target, mode="stop", reason="odd", by="person/ada")))

    @rule(mode=st.sampled_from(["well", "broken", "garbled"]))
    def breaks(self, mode: Any) -> None:
        self.ground.server.mode = mode

    @invariant()
    def each_is_answered_once_and_as_decided(self) -> None:
        if not hasattr(self, "ground"):
            return
        given = Counter(id for answer in self.ground.server.resumed for id in answer)
        assert all(times == 1 for times in given.values()), given
        states = {}
        for row in self.rows():
            asked = self.run(self._request(row))
            states[row.interrupt] = asked.state
        for answer in self.ground.server.resumed:
            ((id, value),) = answer.items()
            (decision,) = value["decisions"]
            if decision["type"] == "approve":
                assert id in self.approved
                # a kill after that finds it revoked, and what was said is said
                assert states[id] in ("approved", "succeeded", "revoked"), (id, states)
            else:
                assert states[id] in ("denied", "revoked", "expired"), (id, states)

    async def _request(self, row: Row) -> Row:
        return await self.ground.store.read(lambda tx: find(tx, row.request))

    def rows(self) -> list[Row]:
        return self.run(
            self.ground.store.read(
                lambda tx: list(
                    tx.connection.execute(interrupts.select().order_by(interrupts.c.request))
                )
            )
        )

    def settle_all(self) -> None:
        """Once the server is well, whatever was decided comes to an end."""
        self.ground.server.mode = "well"
        for _ in range(4):
            self.poll()
            self.carry(400)
        for row in self.rows():
            asked = self.run(self._request(row))
            if asked.state != "pending":
                assert row.state in ENDED, (row, asked.state)
                assert asked.state != "approved"
        self.each_is_answered_once_and_as_decided()


TestAnswering = Answering.TestCase
TestAnswering.settings = machine_settings(examples=8)
