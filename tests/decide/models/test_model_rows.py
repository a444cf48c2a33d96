"""Counts of a day's model calls: bounded, and kept a while as they took long."""

from __future__ import annotations

import pytest

from tests.decide.policies.test_stages import Ground, ground  # noqa: F401
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.decide.models import rows as model_rows
from watchkeeper.decide.models.rows import Counts, CountsKept, count_calls, today_of
from watchkeeper.decide.spending.sums import Scope
from watchkeeper.wire.decisions import Ask

DAY = 86_400_000_000


def test_a_day_begins_at_midnight_utc() -> None:
    assert today_of(5 * DAY + 7) == 5 * DAY
    assert today_of(5 * DAY) == 5 * DAY


def test_long_counts_are_kept_longer() -> None:
    kept, counts = CountsKept(), Counts()
    kept.keep(None, counts, began=10.0, at=10.5)
    assert kept.find(None, 20.4) is counts
    assert kept.find(None, 20.5) is None
    assert kept.find(frozenset({"sales"}), 11.0) is None


async def test_of_very_many_decisions_the_newest_are_counted(
    ground: Ground,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = ground.store.clock
    assert isinstance(clock, RehearsalClock)
    for _ in range(5):
        clock.advance(1)
        answer = await ground.decider.decide(ground.token, Ask(kind="model", name="small-fast"))
        assert answer.verdict == "permit", answer
    now = clock.now()
    scope = Scope(today_of(now), now + 1)
    counts = await ground.store.scan(lambda tx: count_calls(tx, scope))
    assert (counts.by_model["small-fast"].calls, counts.since) == (5, None)
    monkeypatch.setattr(model_rows, "_MOST_READ", 2)
    counts = await ground.store.scan(lambda tx: count_calls(tx, scope))
    assert counts.by_model["small-fast"].calls == 2
    assert counts.since == now - 2 * 1_000_000 + 1
