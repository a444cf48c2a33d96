"""The one way to wait in tests: poll a condition until it holds or its deadline passes.

Nothing else in the tests may sleep. A deadline is generous (it only bounds a failure); the
poll is short, so a passing test waits no longer than it must.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
Failures = tuple[type[Exception], ...]

PATIENCE_SECONDS = 20.0
POLL_SECONDS = 0.02


def eventually(
    condition: Callable[[], T | None],
    what: str = "",
    *,
    seconds: float = PATIENCE_SECONDS,
    every: float = POLL_SECONDS,
    tolerate: Failures = (),
) -> T:
    """Return the first true value of `condition`.

    Exceptions in `tolerate` count as "not yet". Raises `AssertionError` with the last value or
    exception when `seconds` have passed.
    """
    pause = threading.Event()
    deadline = time.monotonic() + seconds
    last: object = None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = value
        except tolerate as error:
            last = error
        if time.monotonic() >= deadline:
            raise AssertionError(_complaint(condition, what, seconds, last))
        pause.wait(every)


async def eventually_async(
    condition: Callable[[], Awaitable[T | None]],
    what: str = "",
    *,
    seconds: float = PATIENCE_SECONDS,
    every: float = POLL_SECONDS,
    tolerate: Failures = (),
) -> T:
    """Do as `eventually` does, for a condition that must be awaited."""
    deadline = time.monotonic() + seconds
    last: object = None
    while True:
        try:
            value = await condition()
            if value:
                return value
            last = value
        except tolerate as error:
            last = error
        if time.monotonic() >= deadline:
            raise AssertionError(_complaint(condition, what, seconds, last))
        await asyncio.sleep(every)


def stays(
    condition: Callable[[], object],
    what: str = "",
    *,
    seconds: float = 0.5,
    every: float = POLL_SECONDS,
) -> None:
    """Check that `condition` holds now and at every poll for `seconds`."""
    pause = threading.Event()
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        assert value, f"did not stay so: {what or repr(condition)}; last: {value!r}"
        if time.monotonic() >= deadline:
            return
        pause.wait(every)


def _complaint(condition: object, what: str, seconds: float, last: object) -> str:
    return f"not within {seconds:g} s: {what or repr(condition)}; last: {repr(last)[:2000]}"


async def let_pass(seconds: float) -> None:
    """Let real time pass: for measurements and servers that pace themselves, not for tests."""
    await asyncio.sleep(seconds)
