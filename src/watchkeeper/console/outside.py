"""What reaches beyond the screen: the window's title, calls, the clipboard, signals."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
import tempfile
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from watchkeeper.console.terminal import (
    ConsoleDriver,
    call_sequence,
    copy_command,
    copy_sequence,
    end_within,
    in_tmux,
    title_sequence,
)
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import TooLarge
from watchkeeper.core.text import make_safe

if TYPE_CHECKING:
    from watchkeeper.console.app import Console

CALL_GAP_SECONDS = 10.0
HANG_UP_SECONDS = 1.5
COPY_SECONDS = 2.0
LARGEST_EDIT = 32_000
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class Outside:
    """Writes what is no part of the screen."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._called_at = float("-inf")
        self._title = ""

    def _write(self, sequence: str) -> bool:
        driver = self._console._driver
        if isinstance(driver, ConsoleDriver):
            driver.write(sequence)
            return True
        return False

    def set_title(self, text: str) -> None:
        """Set the window's title if it changed."""
        if text != self._title:
            self._title = text
            self._write(title_sequence(text))

    def call(self, text: str) -> bool:
        """Call the person as configured, not in quiet hours and not every few seconds."""
        console = self._console
        now = console.monotonic()
        if self.quiet or now - self._called_at < CALL_GAP_SECONDS:
            return False
        self._called_at = now
        for kind in console.configuration.notifications:
            self._write(call_sequence(kind, text, tmux=in_tmux()))
        return True

    @property
    def quiet(self) -> bool:
        """Whether these are the person's quiet hours."""
        held = self._console.configuration
        if not held.quiet_from or not held.quiet_until:
            return False
        seconds = self._console.clock.now() // MICROSECONDS
        now = datetime.fromtimestamp(seconds, held.zone).strftime("%H:%M")
        if held.quiet_from <= held.quiet_until:
            return held.quiet_from <= now < held.quiet_until
        return now >= held.quiet_from or now < held.quiet_until

    async def copy(self, text: str) -> None:
        """Put text on the clipboard and say what was tried."""
        console = self._console
        tried = []
        try:
            if self._write(copy_sequence(text, tmux=in_tmux())):
                tried.append("the terminal, through tmux" if in_tmux() else "the terminal")
        except TooLarge as error:
            console.say(f"not copied: {error.message}", "warning")
            return
        command = copy_command()
        if command is not None and await asyncio.to_thread(_run, command, text):
            tried.append(command[0])
        where = " and ".join(tried) or "nothing: there is no terminal"
        console.say(f"copied {make_safe(text, limit=60)} by {where}")

    def edit(self, text: str, *, lines: bool = False) -> str | None:
        """Have a text written in the person's editor; None if that did not succeed.

        It comes back as one line, or with `lines` as it was written.

        The screen is given to the editor meanwhile and comes back as it was.
        """
        console = self._console
        command = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
        with tempfile.TemporaryDirectory(prefix="watchkeeper-") as directory:
            place = Path(directory) / ("text.md" if lines else "reason.txt")
            place.write_text(text, encoding="utf-8")
            try:
                with console.suspend():
                    done = subprocess.run([*command, str(place)], check=False)
                written = place.read_bytes()[:LARGEST_EDIT].decode("utf-8", "replace")
            except (OSError, SuspendNotSupported) as error:
                console.say(f"{command[0]}: {error}", "warning")
                return None
        if done.returncode != 0:
            console.say(f"{command[0]} ended with {done.returncode}; nothing is changed", "warning")
            return None
        return written.strip() if lines else " ".join(written.split())

    def watch_signals(self) -> None:
        """Leave in order when told to end; give up in time when the terminal is gone."""
        if self._console.is_headless:
            return
        loop = asyncio.get_running_loop()

        def end(number: int, frame: FrameType | None) -> None:
            # not the loop's own handler: that one waits for whatever keeps the loop busy
            end_within(HANG_UP_SECONDS, 128 + number)
            loop.call_soon_threadsafe(self._console.leave, 128 + number)

        for number in ENDING_SIGNALS:
            signal.signal(number, end)


def _run(command: list[str], text: str) -> bool:
    try:
        done = subprocess.run(
            command, input=text.encode(), timeout=COPY_SECONDS, check=False, capture_output=True
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
