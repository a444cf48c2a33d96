"""However runs hand on their budget, none of them uses more than it has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import select

from tests.budgets.ground import cap
from tests.budgets.test_machine import clear
from tests.rig.machines import run_machine
from watchkeeper.budgets import lending, service
from watchkeeper.budgets.model import Cap, Held, Refused
from watchkeeper.budgets.tables import balances
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.budgets import Measure

T = TypeVar("T")
ROOT_CAPS: dict[Measure, int] = {"tool_calls": 12, "spend": 100}
LATEST = st.integers(0, 8)


class FamilyMachine(RuleBasedStateMachine):
    """A root run, children of any depth, calls in flight, in any order."""

    url: str
    calls_any = precondition(lambda self: self.flying)
    children_any = precondition(lambda self: len(self.caps) > 1)

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.store = self.run(Store.open(self.url, RehearsalClock(frozen=True)))
        self.caps: dict[str, dict[Measure, int]] = {"run_0": dict(ROOT_CAPS)}
        self.parent: dict[str, str | None] = {"run_0": None}
        self.open = {"run_0"}
        self.flying: dict[str, tuple[str, dict[Measure, int]]] = {}
        self.used = dict.fromkeys(ROOT_CAPS, 0)
        self.made = 0
        self.write(clear)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def write(self, unit: Callable[[Transaction], T]) -> T:
        def silent(tx: Transaction) -> T:
            tx.silent("the machine keeps its own record")
            return unit(tx)

        return self.run(self.store.write(silent))

    def teardown(self) -> None:
        self.run(self.store.close())
        self.runner.close()

    def over(self, run: str) -> list[Cap]:
        return [cap(f"run/{run}", "run", m, amount) for m, amount in self.caps[run].items()]

    def pick(self, back: int) -> str:
        names = sorted(self.open)
        return names[back % len(names)]

    @rule(back=LATEST, spend=st.sampled_from([0, 5, 30]))
    def call(self, back: int, spend: int) -> None:
        run = self.pick(back)
        self.made += 1
        name = f"dec_{self.made:04}"
        amounts: dict[Measure, int] = {"tool_calls": 1, "spend": spend}
        answer = self.write(
            lambda tx: service.reserve(
                tx, decision=name, agent="a", run=run, caps=self.over(run), amounts=amounts,
                expires_at=tx.now + 10**12, now=tx.now,
            )
        )  # fmt: skip
        if isinstance(answer, Held):
            self.flying[name] = (run, amounts)

    @calls_any
    @rule(back=LATEST, share=st.sampled_from([0, 50, 100]))
    def settle(self, back: int, share: int) -> None:
        name = sorted(self.flying)[back % len(self.flying)]
        _, amounts = self.flying.pop(name)
        used: dict[Measure, int] = {"spend": amounts["spend"] * share // 100}
        self.used["spend"] += used["spend"]
        self.used["tool_calls"] += 1
        self.write(lambda tx: service.settle(tx, name, used, "succeeded"))

    @rule(
        back=LATEST,
        calls=st.none() | st.integers(0, 8),
        spend=st.none() | st.integers(0, 60),
        usual=st.integers(1, 6),
    )
    def lend(self, back: int, calls: int | None, spend: int | None, usual: int) -> None:
        parent = self.pick(back)
        child = f"run_{len(self.caps)}"
        asked = {"tool_calls": calls, "spend": spend}
        wanted: Any = {m: amount for m, amount in asked.items() if amount is not None}
        before = self.left(parent)
        answer = self.write(
            lambda tx: lending.lend(
                tx, parent=parent, child=child, agent="a", caps=self.over(parent),
                wanted=wanted, usual={"tool_calls": usual},
            )
        )  # fmt: skip
        if isinstance(answer, Refused):
            assert any(amount > before[measure] for measure, amount in wanted.items())
            return
        granted = dict(answer)
        assert all(granted[m] <= self.caps[parent][m] for m in self.caps[parent])
        self.caps[child], self.parent[child] = granted, parent
        self.open.add(child)

    @children_any
    @rule(back=LATEST)
    def end(self, back: int) -> None:
        names = sorted(self.open - {"run_0"})
        if names:
            self.finish(names[back % len(names)])

    def finish(self, run: str) -> None:
        for child, parent in self.parent.items():
            if parent == run and child in self.open:
                self.finish(child)
        first = self.write(lambda tx: lending.give_back(tx, run))
        again = self.write(lambda tx: lending.give_back(tx, run))
        assert (first is None) == (again is None)
        if first is not None and again is not None:
            assert not again.first
            assert first.posted == again.posted
        self.open.discard(run)

    def left(self, run: str) -> dict[str, int]:
        row = self.rows().get(run)
        return {
            m: amount - (row[f"posted_{m}"] + row[f"held_{m}"] if row else 0)
            for m, amount in self.caps[run].items()
        }

    def rows(self) -> dict[str, Any]:
        query = select(balances)
        found = self.run(self.store.read(lambda tx: list(tx.connection.execute(query).mappings())))
        return {row["scope"].removeprefix("run/"): row for row in found}

    @invariant()
    def nobody_passes_a_cap(self) -> None:
        for run, row in self.rows().items():
            for measure, limit in self.caps[run].items():
                assert row[f"posted_{measure}"] + row[f"held_{measure}"] <= limit

    @invariant()
    def the_family_stays_within_the_roots_caps(self) -> None:
        """All that was ever used, by any of them, and what calls in flight may yet use."""
        for measure, limit in ROOT_CAPS.items():
            flying = sum(amounts[measure] for _, amounts in self.flying.values())
            assert self.used[measure] + flying <= limit


def test_no_family_of_runs_uses_more_than_its_root_has(database_url: str) -> None:
    run_machine(FamilyMachine, database_url)


async def test_a_loan_passes_no_soft_cap(store: Store) -> None:
    caps = [cap("run/*", "run", "spend", 100, soft=True)]

    def lend(child: str, spend: int) -> Any:
        return lambda tx: lending.lend(
            tx, parent="run_0", child=child, agent="a", caps=caps, wanted={"spend": spend}, usual={}
        )

    def silent(unit: Any) -> Any:
        return lambda tx: (tx.silent("the test records nothing"), unit(tx))[1]

    assert isinstance(await store.write(silent(lend("run_1", 101))), Refused)
    assert await store.write(silent(lend("run_1", 100))) == {"spend": 100}
    assert isinstance(await store.write(silent(lend("run_2", 1))), Refused)
