"""What a terminal shows while the plane takes long."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import click

_AFTER_SECONDS = 1.0
_EVERY_SECONDS = 0.5
_WIDEST = 60


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
