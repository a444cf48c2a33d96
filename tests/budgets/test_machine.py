"""Budgets of every measure, scope and period under any order of reserving, extending, settling,
voiding, expiring, late reports, topping up, time and restarts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)
from sqlalchemy import delete, select

from tests.budgets.ground import cap, pass_time
from tests.rig.machines import run_machine
from tests.rig.moments import moment
from watchkeeper.budgets import service
from watchkeeper.budgets.accounts import SWEEP, SWEEP_SECONDS
from watchkeeper.budgets.checking import check_balances
from watchkeeper.budgets.model import MEASURES, NO_CAP, Cap, Held, Settlement
from watchkeeper.budgets.periods import period_key
from watchkeeper.budgets.rules import read_budget_id
from watchkeeper.budgets.tables import balances, holds, members, spenders
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Conflict
from watchkeeper.store.store import Store
from watchkeeper.store.timers import timers
from watchkeeper.store.transaction import Transaction

T = TypeVar("T")
S = 1_000_000
START = moment("2026-11-30T22:50:00Z")
HOLD_SECONDS = 90
BERLIN: dict[str, Any] = {"zone": "Europe/Berlin"}
SHARED = (
    cap("team/ops", "hour", "spend", 130),
    cap("team/ops", "hour", "tokens", 500),
    cap("all", "month", "spend", 400),
    cap("all", "day", "tool_calls", 12),
    cap("project/p", "day", "value", 900, **BERLIN),
    cap("project/p", "day", "risk", 60, **BERLIN),
    cap("person/ada", "week", "messages", 6, **BERLIN),
    cap("person/ada", "week", "objects", 3, **BERLIN),
    cap("model/m", "month", "output_tokens", 200, soft=True),
)
AMOUNTS = st.fixed_dictionaries(
    {
        "spend": st.sampled_from([0, 1, 30, 70]),
        "input_tokens": st.integers(0, 60),
        "output_tokens": st.sampled_from([0, 0, 50, 90]),
        "tool_calls": st.integers(0, 1),
        "value": st.sampled_from([0, 0, 200, 500]),
        "messages": st.integers(0, 1),
        "risk": st.sampled_from([0, 1, 3, 30]),
        "retries": st.integers(0, 1),
        "wall_time": st.sampled_from([0, 5 * S, 40 * S]),
    }
)
OBJECTS = st.sampled_from([None, None, "charge/1", "charge/2", "charge/3", "order/1"])
LATEST = st.integers(0, 5)


def caps_of(run: str) -> tuple[Cap, ...]:
    """The caps over one of the runs."""
    agent = {"run_1": "a", "run_2": "a", "run_3": "b"}[run]
    return (
        cap("run/*", "run", "spend", 90),
        cap("run/*", "run", "retries", 3),
        cap("run/*", "run", "objects", 2),
        cap("team/ops", "invocation", "output_tokens", 80),
        cap(f"agent/{agent}", "hour", "spend", 110),
        cap(f"agent/{agent}", "week", "wall_time", 200 * S),
        cap(f"version/{agent}@1", "month", "risk", 90),
        *SHARED,
    )


class BudgetMachine(RuleBasedStateMachine):
    """A store driven in any order against a plain model of what each hold came to."""

    url: str
    holds_any = precondition(lambda self: self.holds)

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = RehearsalClock(frozen=True, start=START)
        self.store = self.run(Store.open(self.url, self.clock))
        self.holds: dict[str, tuple[str, Held, dict[str, int]]] = {}
        self.ended: dict[str, Settlement] = {}
        self.topped: dict[tuple[str, str, str, str], int] = {}
        self.touches: dict[str, str | None] = {}
        self.over: set[tuple[Any, str]] = set()
        """Balances and measures that somebody used more of than was reserved."""
        self.run(self.store.write(clear))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on this machine's loop."""
        return self.runner.run(work)

    def write(self, unit: Callable[[Transaction], T]) -> T:
        """Run a unit whose own events are not what this is about."""

        def silent(tx: Transaction) -> T:
            tx.silent("the machine keeps its own record")
            return unit(tx)

        return self.run(self.store.write(silent))

    def teardown(self) -> None:
        self.run(self.store.close())
        self.runner.close()

    @rule(run=st.sampled_from(["run_1", "run_2", "run_3"]), amounts=AMOUNTS, touches=OBJECTS)
    def reserve(self, run: str, amounts: dict[Any, int], touches: str | None) -> None:
        amounts = amounts | {"objects": int(touches is not None)}
        decision = f"dec_{len(self.holds):04}"
        before = self.rows()
        answer = self.write(
            lambda tx: service.reserve(
                tx,
                decision=decision,
                agent="b" if run == "run_3" else "a",
                run=run,
                caps=caps_of(run),
                amounts=amounts,
                touches=touches,
                expires_at=tx.now + HOLD_SECONDS * S,
                now=tx.now,
            )
        )
        if isinstance(answer, Held):
            full: dict[str, int] = dict.fromkeys(MEASURES, 0)
            full |= amounts
            full |= {"tokens": amounts["input_tokens"] + amounts["output_tokens"], "objects": 0}
            self.holds[decision] = (run, answer, full)
            self.touches[decision] = touches
            after = self.rows()
            for one in answer.filled:
                row, measure = after[one.account], one.cap.measure
                assert one.used == row[f"posted_{measure}"] + row[f"held_{measure}"]
                assert one.cap.soft or one.used <= one.limit
            return
        if answer.by.soft:
            assert answer.used + answer.held >= answer.cap
        else:
            assert answer.used + answer.held + answer.asked > answer.cap
        tokens = amounts["input_tokens"] + amounts["output_tokens"]
        assert answer.asked == amounts.get(answer.measure, tokens)
        after = self.rows()
        for key, row in before.items():
            for measure in MEASURES:
                for part in ("held", "posted"):
                    assert after[key][f"{part}_{measure}"] == row[f"{part}_{measure}"]

    @holds_any
    @rule(
        back=LATEST,
        share=st.sampled_from([0, 50, 100, 100]),
        over=st.sampled_from([0, 0, 0, 0, 0, 0, 0, 40]),
        status=st.sampled_from(["succeeded", "failed", "unknown"]),
    )
    def settle(self, back: int, share: int, over: int, status: Any) -> None:
        decision = self.pick(back)
        _, _, reserved = self.holds[decision]
        used: dict[Any, int] = {
            "spend": reserved["spend"] * share // 100 + over,
            "input_tokens": reserved["input_tokens"] * share // 100,
        }
        used["output_tokens"] = reserved["output_tokens"]
        for measure in ("spend", "input_tokens", "tokens"):
            if used.get(measure, 0) > reserved[measure]:
                self.over |= {(account, measure) for account in self.holds[decision][1].accounts}
        within: Any = ("wall_time", "retries")
        self.keep(
            decision,
            self.write(lambda tx: service.settle(tx, decision, used, status, within=within)),
        )

    @holds_any
    @rule(back=LATEST, more=AMOUNTS)
    def extend(self, back: int, more: dict[str, int]) -> None:
        decision = self.pick(back)
        run, held, full = self.holds[decision]
        live = {row.decision: row for row in self.hold_rows()}.get(decision)
        before = self.rows()

        def unit(tx: Transaction) -> Any:
            return service.extend(tx, decision, more, caps_of(run))  # type: ignore[arg-type]

        if live is None or live.state != "live":
            with pytest.raises(Conflict):
                self.write(unit)
            return
        answer = self.write(unit)
        if isinstance(answer, Held):
            more = more | {"tokens": more["input_tokens"] + more["output_tokens"]}
            grown = {measure: full[measure] + more.get(measure, 0) for measure in full}
            self.holds[decision] = (run, held, grown)
            return
        after = self.rows()
        for key, row in before.items():
            for measure in MEASURES:
                assert after[key][f"held_{measure}"] == row[f"held_{measure}"]

    @holds_any
    @rule(back=LATEST)
    def void(self, back: int) -> None:
        decision = self.pick(back)
        self.keep(decision, self.write(lambda tx: service.void(tx, decision)))

    @rule(which=st.sampled_from(SHARED), amount=st.integers(1, 40))
    def top_up(self, which: Cap, amount: int) -> None:
        name = which.budget_id
        self.write(
            lambda tx: service.top_up(
                tx, name, None, amount, reason="r", actor="ada", standing=SHARED
            )
        )
        scope, period, measure = read_budget_id(name)
        key = (scope, period, period_key(period, self.clock.now(), "", which.zone), measure)
        self.topped[key] = self.topped.get(key, 0) + amount

    @rule(seconds=st.sampled_from([1, 30, 100, 600]))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule()
    def sweep(self) -> None:
        self.run(pass_time(self.store))
        for row in self.hold_rows():
            if row.state == "live":
                assert row.expires_at + SWEEP_SECONDS * S > self.clock.now()
            elif row.state == "expired" and row.decision not in self.ended:
                again = self.write(partial(service.void, decision=row.decision))
                assert again is not None
                assert not again.first
                assert again.posted == self.holds[row.decision][2]
                assert again.state == "expired"
                self.ended[row.decision] = again

    @rule()
    def restart(self) -> None:
        self.run(self.store.close())
        self.store = self.run(Store.open(self.url, self.clock))

    @invariant()
    def balances_are_the_sums_of_their_holds(self) -> None:
        rows = self.rows()
        states = {row.decision: row for row in self.hold_rows()}
        assert states.keys() == {one for one, (_, held, _) in self.holds.items() if held.accounts}
        for key, row in rows.items():
            for measure in MEASURES:
                held = posted = 0
                for decision, (_, hold, reserved) in self.holds.items():
                    if key not in [(a.scope, a.period, a.period_key) for a in hold.accounts]:
                        continue
                    if states[decision].state == "live":
                        held += reserved[measure]
                    else:
                        posted += getattr(states[decision], f"posted_{measure}")
                if measure == "objects" and key[0].startswith(("run/", "person/")):
                    posted = len(self.objects_in(key, states))
                assert (row[f"held_{measure}"], row[f"posted_{measure}"]) == (held, posted)
                topped = self.topped.get((*key, measure), 0)
                assert row[f"topped_{measure}"] == topped
                limit = row[f"cap_{measure}"]
                if limit == NO_CAP or (key, measure) in self.over:
                    continue
                soft = (key[0], measure) == ("model/m", "output_tokens")
                most = 89 + 80 if soft else 0  # what one call held, and what it was extended by
                assert held + posted <= limit + topped + most

    @invariant()
    def balances_add_up(self) -> None:
        check = self.run(self.store.scan(check_balances))
        assert not check.differences
        assert check.holds == len(self.hold_rows())

    @invariant()
    def holds_are_swept(self) -> None:
        if self.holds:
            query = select(timers.c.due_at).where(timers.c.kind == SWEEP)
            due = self.run(self.store.read(lambda tx: tx.connection.execute(query).scalars().all()))
            assert len(due) == 1
            assert due[0] <= self.clock.now() + SWEEP_SECONDS * S

    def keep(self, decision: str, ended: Settlement | None) -> None:
        """Note how a hold ended; whoever ends it again is told the same."""
        assert ended is not None
        if ended.first:
            known = self.ended.get(decision)
            assert known is None or known.state == "expired"  # only what nobody reported
            self.ended[decision] = ended
        elif decision in self.ended:
            assert (ended.state, ended.posted) == (
                self.ended[decision].state,
                self.ended[decision].posted,
            )
        else:
            assert ended.state == "expired"
            self.ended[decision] = ended

    def objects_in(self, key: Any, states: dict[str, Any]) -> set[str | None]:
        """The objects that a balance counts: those of holds that were not voided."""
        found = {
            self.touches[decision]
            for decision, (_, hold, _) in self.holds.items()
            if key in hold.accounts and states[decision].state != "voided"
        }
        return found - {None}

    def pick(self, back: int) -> str:
        """A hold, counted back from the latest."""
        return list(self.holds)[-1 - back % len(self.holds)]

    def rows(self) -> dict[tuple[str, str, str], Any]:
        """Every balance by its key."""
        query = select(balances)
        found = self.run(self.store.read(lambda tx: list(tx.connection.execute(query).mappings())))
        return {(row["scope"], row["period"], row["period_key"]): row for row in found}

    def hold_rows(self) -> list[Any]:
        """Every hold."""
        query = select(holds)
        return self.run(self.store.read(lambda tx: list(tx.connection.execute(query))))


def clear(tx: Transaction) -> None:
    """Empty this room's tables; the ledger goes on."""
    tx.silent("a test starts over")
    for table in (balances, holds, members, spenders, timers):
        tx.connection.execute(delete(table))


def test_budgets_hold_in_any_order(database_url: str) -> None:
    run_machine(BudgetMachine, database_url)
