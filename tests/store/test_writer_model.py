"""The writer against a model: whatever fails, restarts or is cancelled, the two agree."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.rig.machines import machine_settings
from tests.rig.postgres import Postgres
from tests.rig.stores import empty_sqlite_url
from tests.store.ground import ACTOR, PUT, TAKE, amounts
from watchkeeper import ledger
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Conflict, WatchkeeperError
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

NAMES = st.sampled_from("abc")
ENDINGS = ("returns", "raises", "raises early", "overdraws", "records nothing", "cancelled")


class Move:
    """A unit that moves an amount, and how it is to end."""

    def __init__(self, name: str, amount: int, ending: str) -> None:
        self.name, self.amount, self.ending = name, amount, ending

    def __call__(self, tx: Transaction) -> int | None:
        if self.ending == "raises early":
            raise KeyError(self.name)
        if self.ending != "records nothing":
            tx.record("account.put", actor=ACTOR, subject=self.name, body={"n": self.amount})
        PUT.run(tx, name=self.name, amount=self.amount)
        if self.ending == "overdraws":
            TAKE.run(tx, account=self.name, taken=10**9)
        if self.ending == "raises":
            raise ValueError(self.name)
        if self.ending == "returns":
            return tx.record("account.seen", actor=ACTOR, subject=self.name, body={})
        return None

    def __repr__(self) -> str:
        return f"{self.name}+{self.amount} {self.ending}"


class Writer(RuleBasedStateMachine):
    """Units in random batches; the model is a dict and the list of events."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.url = self.make_url()
        self.clock = RehearsalClock(frozen=True)
        self.amounts: dict[str, int] = {}
        self.subjects: list[str] = []

    def make_url(self) -> str:
        """The URL of a new database."""
        raise AssertionError("each engine has its own")

    @initialize()
    def open(self) -> None:
        self.store = self.runner.run(Store.open(self.url, self.clock))
        self.feed = self.store.subscribe(after=len(self.subjects))
        self.seen = len(self.subjects)

    @rule(
        moves=st.lists(
            st.builds(Move, NAMES, st.integers(1, 9), st.sampled_from(ENDINGS)), max_size=6
        )
    )
    def write(self, moves: list[Move]) -> None:
        answers = self.runner.run(self._write_all(moves))
        for move, answer in zip(moves, answers, strict=True):
            if move.ending == "returns":
                self.subjects += [move.name, move.name]
                self.amounts[move.name] = self.amounts.get(move.name, 0) + move.amount
                assert answer == len(self.subjects)
            else:
                expected = {
                    "raises": ValueError,
                    "raises early": KeyError,
                    "overdraws": Conflict,
                    "records nothing": WatchkeeperError,
                    "cancelled": asyncio.CancelledError,
                }[move.ending]
                assert isinstance(answer, expected), (move, answer)

    async def _write_all(self, moves: list[Move]) -> list[object]:
        waiting = [asyncio.ensure_future(self.store.write(move)) for move in moves]
        await asyncio.sleep(0)  # all are queued now, and no batch has begun
        for move, task in zip(moves, waiting, strict=True):
            if move.ending == "cancelled":
                task.cancel()
        return list(await asyncio.gather(*waiting, return_exceptions=True))

    @rule(seconds=st.integers(0, 5))
    def advance(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule()
    def restart(self) -> None:
        self.runner.run(self.store.close())
        self.open()

    @rule()
    def follow(self) -> None:
        """The feed tells each event once, in order."""
        while self.seen < len(self.subjects):
            batch = self.runner.run(self._next())
            assert [event.sequence for event in batch] == list(
                range(self.seen + 1, self.seen + 1 + len(batch))
            )
            assert [event.subject for event in batch] == self.subjects[
                self.seen : self.seen + len(batch)
            ]
            self.seen += len(batch)

    async def _next(self) -> list[ledger.Event]:
        return await anext(self.feed)

    @invariant()
    def agrees(self) -> None:
        if hasattr(self, "store"):
            assert self.store.head == len(self.subjects)
            assert self.runner.run(self.store.read(amounts)) == self.amounts

    def teardown(self) -> None:
        if hasattr(self, "store"):
            check = self.runner.run(self.store.scan(ledger.verify))
            self.runner.run(self.store.close())
            assert check.ok
            assert check.entries == len(self.subjects)
        self.runner.close()


def test_on_sqlite(tmp_path: Path) -> None:
    class OnSqlite(Writer):
        def make_url(self) -> str:
            return empty_sqlite_url(Path(tempfile.mkdtemp(dir=tmp_path)))

    run_state_machine_as_test(OnSqlite, settings=machine_settings(examples=20))


@pytest.mark.postgres
def test_on_postgres(postgres: Postgres) -> None:
    class OnPostgres(Writer):
        def make_url(self) -> str:
            return postgres.create_database()

    run_state_machine_as_test(OnPostgres, settings=machine_settings(examples=4))
