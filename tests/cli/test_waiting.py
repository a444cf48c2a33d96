"""What a terminal shows while the plane takes long, and that nothing else is shown it."""

from __future__ import annotations

import asyncio
import io

import pytest

from watchkeeper.cli import waiting
from watchkeeper.wire.audit import Progress


class Screen(io.StringIO):
    """Standard error that is a terminal."""

    def isatty(self) -> bool:
        return True


async def wait(screen: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> str:
    """Wait for an answer that comes once its progress was asked for three times."""
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr(waiting, "_EVERY_SECONDS", 0.001)
    asked: list[int] = []
    enough = asyncio.Event()

    async def answer() -> str:
        if screen.isatty():
            await enough.wait()
        return "it"

    async def progress() -> Progress:
        asked.append(len(asked))
        if len(asked) == 3:
            enough.set()
        return Progress(done=asked[-1] * 1000, total=2000)

    return await waiting.shown_while(answer(), progress)


async def test_a_terminal_shows_how_far_it_is_and_is_wiped(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    assert await wait(screen, monkeypatch) == "it"
    shown = screen.getvalue().split("\r")
    assert shown[1] == f"[{'.' * 30}]   0 %  0 of 2,000 entries\x1b[K"
    assert shown[2] == f"[{'#' * 15}{'.' * 15}]  50 %  1,000 of 2,000 entries\x1b[K"
    assert shown[-1] == "\x1b[K"


async def test_a_file_is_shown_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    assert await wait(screen, monkeypatch) == "it"
    assert screen.getvalue() == ""


async def test_what_fails_while_it_is_waited_for_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", Screen())

    async def fail() -> None:
        raise OSError("disk")

    async def progress() -> Progress:
        return Progress()

    with pytest.raises(OSError, match="disk"):
        await waiting.shown_while(fail(), progress)
