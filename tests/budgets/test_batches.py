"""Units that share a batch leave and answer exactly what they would one after the other."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests.budgets.ground import cap
from tests.rig.moments import moment
from tests.rig.stores import sqlite_url
from watchkeeper.budgets import lending, service
from watchkeeper.budgets.checking import check_balances
from watchkeeper.budgets.filling import levels_of
from watchkeeper.budgets.model import MEASURES, Cap, Held
from watchkeeper.budgets.reconciling import reconcile
from watchkeeper.budgets.rules import hourly_rate
from watchkeeper.budgets.tables import balances, holds, members, spenders
from watchkeeper.budgets.widening import widen
from watchkeeper.core.clock import MICROSECONDS as S
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Conflict
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

START = moment("2026-11-30T22:58:00Z")
STEPS = 150
Unit = Callable[[Transaction], Any]


def caps_of(run: str, draw: random.Random) -> tuple[Cap, ...]:
    """The caps over a run, of which some change from call to call."""
    agent = "b" if run == "run_3" else "a"
    return (
        cap("run/*", "run", "spend", 300),
        cap("run/*", "run", "objects", 2),
        cap(f"agent/{agent}", "hour", "spend", draw.choice([260, 320])),
        cap("team/ops", "hour", "spend", draw.choice([300, 500])),
        cap("team/ops", "hour", "tokens", 600),
        cap("all", "month", "spend", 900),
        cap("all", "day", "tool_calls", 25),
        cap("model/m", "month", "output_tokens", 400, soft=True),
        cap("person/ada", "week", "objects", 3, zone="Europe/Berlin"),
    )


def plan(seed: int) -> tuple[list[Unit], int]:
    """Units of every kind, of which some fail or only look, and when the last is carried out."""
    draw = random.Random(seed)
    units: list[Unit] = []
    made: list[tuple[str, str]] = []
    now = START
    for number in range(STEPS):
        now += draw.choice([0, 0, 1000, 7 * S, 90 * S, 400 * S])
        kind = draw.choices(
            ["reserve", "settle", "void", "expire", "extend", "top_up", "look", "fail", "widen",
             "reconcile", "lend", "give_back", "raw"],
            [40, 90 if number % 20 >= 10 else 10, 5, 5, 8, 4, 6, 6, 3, 3, 2, 2, 2],
        )[0]  # fmt: skip
        decision, run = draw.choice(made[-12:]) if made else ("dec_none", "run_1")
        if kind in ("reserve", "fail"):
            decision, run = f"dec_{number:04}", draw.choice(["run_1", "run_2", "run_3"])
            made.append((decision, run))
        units.append(_unit(kind, decision, run, now, random.Random(draw.random())))
    return units, now


def _unit(kind: str, decision: str, run: str, now: int, draw: random.Random) -> Unit:
    caps = caps_of(run, draw)
    touches = draw.choice([None, None, "charge/1", "charge/2", "order/1"])
    amounts: dict[Any, int] = {
        "spend": draw.choice([0, 10, 40, 90]),
        "input_tokens": draw.choice([0, 20, 60]),
        "output_tokens": draw.choice([0, 30, 90]),
        "tool_calls": 1,
        "objects": int(touches is not None),
    }
    used: dict[Any, int] = {"spend": draw.choice([0, 10, 40]), "input_tokens": 7}
    status: Any = draw.choice(["succeeded", "failed", "unknown"])
    shared = draw.choice([one for one in caps if one.scope in ("team/ops", "all")])
    agent = "b" if run == "run_3" else "a"

    def work(tx: Transaction) -> Any:
        tx.now = now
        tx.record("test.done", actor="test", subject=decision, body={"kind": kind})
        if kind in ("reserve", "fail"):
            answer = service.reserve(
                tx, decision=decision, agent=agent, run=run, caps=caps, amounts=amounts,
                touches=touches, expires_at=now + 90 * S, now=now, final=draw_final,
            )  # fmt: skip
            if kind == "fail":
                raise ValueError(decision)
            return (answer, answer.filled) if isinstance(answer, Held) else answer
        if kind == "settle":
            return service.settle(tx, decision, used, status)
        if kind == "void":
            return service.void(tx, decision)
        if kind == "expire":
            return service.expire(tx, decision)
        if kind == "extend":
            more = service.extend(tx, decision, {"spend": 30, "output_tokens": 5}, caps)
            return (more, more.filled) if isinstance(more, Held) else more
        if kind == "top_up":
            return service.top_up(
                tx, shared.budget_id, None, 20, reason="r", actor="ada", standing=(shared,)
            )
        if kind == "look":
            return levels_of(tx, caps, run=run, now=now)
        if kind == "raw":
            return balances_of(tx, now)
        if kind == "widen":
            wider = (cap("project/p", "day", "spend", 50), *caps)
            widen(tx, decision, used, wider, agent=agent, run=run, permitted_at=now)
            return service.settle(tx, decision, used, status)
        if kind == "reconcile":
            return reconcile(tx, decision, "succeeded" if status == "unknown" else "failed")
        if kind == "lend":
            over = tuple(one._replace(scope="run/*") for one in caps if one.period == "run")[:1]
            return lending.lend(
                tx, parent=run, child=f"run_c{now}", agent=agent, caps=over,
                wanted={"spend": 40}, usual={},
            )  # fmt: skip
        return lending.give_back(tx, f"run_c{now}")

    draw_final = draw.random() < 0.8
    return work


def balances_of(tx: Transaction, now: int) -> list[dict[str, Any]]:
    """Every balance, with what the last hour posted in place of the sums that tell it."""
    rows = tx.connection.execute(select(balances)).mappings()
    return sorted((_told(row, now) for row in rows), key=repr)


def _told(row: Any, now: int) -> dict[str, Any]:
    rates = {
        f"rate_{one}": hourly_rate(
            recent=row[f"recent_{one}"],
            earlier=row[f"earlier_{one}"],
            bucket=row["bucket"],
            now=now,
        )
        for one in MEASURES
    }
    # an hour in which nothing was posted need not have begun
    sums = ("bucket", "recent_", "earlier_")
    return {name: value for name, value in row.items() if not name.startswith(sums)} | rates


def everything(tx: Transaction, now: int) -> dict[str, list[Any]]:
    """All that budgets keep."""
    return {"balances": balances_of(tx, now)} | {
        table.name: sorted(map(tuple, tx.connection.execute(select(table))), key=repr)
        for table in (holds, members, spenders)
    }


async def carry_out(url: str, seed: int, sizes: random.Random | None) -> Any:
    """Carry units out one by one, or some at a time; return their answers and what is left."""
    rest, now = plan(seed)
    store = await Store.open(url, RehearsalClock(frozen=True, start=START))
    answers: list[Any] = []
    try:
        while rest:
            size = 1 if sizes is None else sizes.choice([1, 2, 5, 30])
            some, rest = rest[:size], rest[size:]
            found = await asyncio.gather(*map(store.write, some), return_exceptions=True)
            answers += found
        check = await store.scan(check_balances)
        assert not check.differences
        return [_shown(one) for one in answers], await store.read(lambda tx: everything(tx, now))
    finally:
        await store.close()


def _shown(answer: Any) -> Any:
    if isinstance(answer, BaseException):
        assert isinstance(answer, (ValueError, Conflict)), repr(answer)
    return repr(answer)


@pytest.mark.parametrize("seed", range(3))
async def test_a_batch_comes_to_the_same_as_one_unit_after_the_other(
    database_url: str, tmp_path: Path, seed: int
) -> None:
    (tmp_path / "alone").mkdir()
    alone = await carry_out(sqlite_url(tmp_path / "alone"), seed, None)
    together = await carry_out(database_url, seed, random.Random(seed))
    for number, (one, other) in enumerate(zip(alone[0], together[0], strict=True)):
        assert other == one, number
    assert together[1] == alone[1]
