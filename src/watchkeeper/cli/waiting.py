"""What a terminal shows while the plane takes long."""

from __future__ import annotations

import asyncio
import itertools
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from watchkeeper.wire.audit import Progress

T = TypeVar("T")

_AFTER_SECONDS = 1.0
_EVERY_SECONDS = 0.5
_WIDEST = 60
_BAR = 30


@contextmanager
def said_while(doing: str) -> Iterator[None]:
    """Say on standard error, if that is a terminal, what is done and since when; then wipe it."""
    if not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    thread = threading.Thread(target=_say, args=(doing, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _say(doing: str, done: threading.Event) -> None:
    if done.wait(_AFTER_SECONDS):
        return
    for passed in itertools.count(1):
        seconds = _AFTER_SECONDS + (passed - 1) * _EVERY_SECONDS
        click.echo(f"\r{doing} … {seconds:.0f} s ".ljust(_WIDEST), nl=False, err=True)
        if done.wait(_EVERY_SECONDS):
            break
    click.echo("\r" + " " * _WIDEST + "\r", nl=False, err=True)


async def shown_while(
    asked: Coroutine[Any, Any, T], progress: Callable[[], Awaitable[Progress]]
) -> T:
    """Wait for an answer, and show on standard error, if that is a terminal, how far it is."""
    waiting = asyncio.ensure_future(asked)
    shown = False
    while sys.stderr.isatty():
        await asyncio.wait([waiting], timeout=_EVERY_SECONDS)
        if waiting.done():
            break
        now = await progress()
        if now.total:
            shown = True
            full = _BAR * now.done // now.total
            bar = "#" * full + "." * (_BAR - full)
            share = f"{100 * now.done // now.total:3} %"
            text = f"\r[{bar}] {share}  {now.done:,} of {now.total:,} {now.what}"
            click.echo(f"{text}\033[K", nl=False, err=True)
    if shown:
        click.echo("\r\033[K", nl=False, err=True)
    return await waiting
