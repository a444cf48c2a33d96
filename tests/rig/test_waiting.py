"""The rig's waiting tells true from false, and says what it waited for."""

from __future__ import annotations

import itertools

import pytest

from tests.rig.deadline import eventually, eventually_async, stays


def test_returns_the_first_true_value() -> None:
    counter = itertools.count()
    assert eventually(lambda: n if (n := next(counter)) >= 3 else None, every=0.001) == 3


def test_a_deadline_names_the_condition_and_the_last_value() -> None:
    with pytest.raises(AssertionError, match=r"a miracle.*last: 0"):
        eventually(lambda: 0, "a miracle", seconds=0.01, every=0.001)


def test_only_tolerated_exceptions_are_waited_out() -> None:
    raised = iter([OSError("early"), KeyError("real")])

    def look() -> bool:
        raise next(raised)

    with pytest.raises(KeyError, match="real"):
        eventually(look, tolerate=(OSError,), every=0.001)


async def test_async_waiting_awaits_the_condition() -> None:
    counter = itertools.count()

    async def look() -> int | None:
        return n if (n := next(counter)) >= 2 else None

    assert await eventually_async(look, every=0.001) == 2


def test_stays_fails_at_the_first_false_poll() -> None:
    values = iter([True, True, False])
    with pytest.raises(AssertionError, match="did not stay so: calm"):
        stays(lambda: next(values), "calm", every=0.001)
