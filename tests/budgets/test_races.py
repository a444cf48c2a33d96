from __future__ import annotations

import asyncio

from tests.budgets.ground import budget, cap, figures, hold_states, reserve, settle, types, void
from watchkeeper.budgets.model import Held, Refused, Settlement
from watchkeeper.store.store import Store

CAPS = (
    cap("run/run_1", "run", "spend", 10**6),
    cap("agent/bot", "day", "spend", 1003),
    cap("team/ops", "day", "tool_calls", 400),
)


async def test_no_burst_passes_a_cap_however_many_ask_at_once(store: Store) -> None:
    answers = await asyncio.gather(
        *(reserve(store, f"d{n}", {"spend": 10}, caps=CAPS) for n in range(300))
    )
    held = [answer for answer in answers if isinstance(answer, Held)]
    assert len(held) == 100
    assert all(one.held == 1000 for one in answers if isinstance(one, Refused))
    for name in ("agent/bot/day/spend", "run/run_1/spend"):
        assert (await budget(store, name, CAPS)).held == 1000
    assert (await types(store)).count("budget.exhausted") == 1


async def test_holding_settling_and_refusing_at_once_leaves_exact_sums(store: Store) -> None:
    used = 0

    async def call(n: int) -> None:
        nonlocal used
        if isinstance(await reserve(store, f"d{n}", {"spend": 40}, caps=CAPS), Refused):
            return
        row = await budget(store, "agent/bot/day/spend", CAPS)
        assert row.posted + row.held <= 1003
        ended = await settle(store, f"d{n}", {"spend": n % 41})
        assert ended is not None
        used += ended.posted["spend"]

    for start in range(0, 300, 60):
        await asyncio.gather(*(call(n) for n in range(start, start + 60)))
    assert await figures(store, "agent/bot/day/spend", CAPS) == (used, 0)
    assert 600 < used <= 1003
    assert "live" not in (await hold_states(store)).values()


async def test_of_many_ends_of_one_hold_one_counts(store: Store) -> None:
    await reserve(store, "d1", {"spend": 500}, caps=CAPS)
    ends = await asyncio.gather(
        *(settle(store, "d1", {"spend": n}) for n in range(1, 20)),
        *(void(store, "d1") for _ in range(5)),
    )
    assert sum(isinstance(end, Settlement) and end.first for end in ends) == 1
    assert len({end.posted["spend"] for end in ends if end is not None}) == 1
    assert await figures(store, "agent/bot/day/spend", CAPS) == (1, 0)
