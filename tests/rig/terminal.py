"""A pseudo-terminal under a program: every byte it writes, the screen they make, and its end.

Unlike tmux this shows the bytes themselves: what a theme costs on a slow link, which escape
sequences were used, what was restored when the program was killed.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

import pyte

from tests.rig.deadline import PATIENCE_SECONDS, eventually

_UNKNOWN_TO_EMULATOR = re.compile(
    rb"\x1b\[[<>=][0-9;]*[a-zA-Z]|\x1b\[\?[0-9;]*\$[a-z]|\x1b\[2[23];[0-9]t|\x1bP[^\x1b]*\x1b\\\\"
)
_ECHO_QUESTION, _ECHO_ANSWER = b"\x1b[?2026$p", b"\x1b[?2026;2$y"
SEQUENCE = re.compile(
    rb"\x1b(?:\[[0-9;?<>=]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|P.*?\x1b\\|[ -/]*[0-~])",
    re.DOTALL,
)


class Terminal:
    """A program in a pseudo-terminal of its own."""

    def __init__(self, *, columns: int = 80, rows: int = 24, answers: bool = True) -> None:
        self.columns, self.rows = columns, rows
        self.answers = answers
        self.bytes_per_second: float | None = None
        """How fast the far end reads; None for at once."""
        self.pid = 0
        self._master = -1
        self.arrivals: list[tuple[float, int]] = []
        """When bytes came (`time.perf_counter`) and how many there were then."""
        self._received = bytearray()
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._fed = 0
        self._lock = threading.Lock()
        self._reader: threading.Thread | None = None
        self._stop = threading.Event()
        self._status: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def start(self, command: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> Self:
        """Run `command` with exactly `env`; TERM is xterm-256color unless `env` has one."""
        held = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8", **env}
        size = struct.pack("HHHH", self.rows, self.columns, 0, 0)
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, size)
                os.chdir(cwd)
                os.execvpe(command[0], list(command), held)  # noqa: S606
            finally:
                os._exit(127)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def _read(self) -> None:
        tail = b""
        while not self._stop.is_set():
            ready, _, _ = select.select([self._master], [], [], 0.05)
            if not ready:
                continue
            size = 65536
            if self.bytes_per_second is not None:
                size = max(1, int(self.bytes_per_second / 50))
                self._stop.wait(0.02)
            try:
                data = os.read(self._master, size)
            except OSError:
                return
            if not data:
                return
            with self._lock:
                self._received += data
                self.arrivals.append((time.perf_counter(), len(self._received)))
            seen = tail + data
            if self.answers:
                for _ in range(seen.count(_ECHO_QUESTION)):
                    self.type(_ECHO_ANSWER)
            tail = seen[-(len(_ECHO_QUESTION) - 1) :]

    @property
    def received(self) -> bytes:
        """Every byte that the program wrote."""
        with self._lock:
            return bytes(self._received)

    @property
    def screen(self) -> str:
        """The text on the screen, one line per row, without trailing blanks."""
        data = self.received
        # a sequence that is cut in two is fed when the rest of it has come
        end = data.rfind(b"\x1b")
        end = len(data) if end < 0 or SEQUENCE.match(data, end) else end
        if end > self._fed:
            self._stream.feed(emulated(data[self._fed : end]))
            self._fed = end
        return "\n".join(line.rstrip() for line in self._screen.display)

    @property
    def cells(self) -> list[list[str]]:
        """The screen cell by cell; the second cell of a wide character is empty."""
        _ = self.screen
        buffer = self._screen.buffer
        return [[buffer[y][x].data for x in range(self.columns)] for y in range(self.rows)]

    @property
    def cursor(self) -> tuple[int, int]:
        """Column and row of the cursor."""
        _ = self.screen
        return self._screen.cursor.x, self._screen.cursor.y

    @property
    def title(self) -> str:
        """The title that the program set."""
        _ = self.screen
        return str(self._screen.title)

    def type(self, keys: bytes | str) -> None:
        """Send keys as the terminal would."""
        data = keys.encode() if isinstance(keys, str) else keys
        try:
            os.write(self._master, data)
        except OSError:
            return  # it has ended; what was waited for next says so

    def wait_for(self, *texts: str, seconds: float = PATIENCE_SECONDS) -> str:
        """Wait until the screen shows all of `texts` at once, and return it."""

        def look() -> str | None:
            screen = self.screen
            return screen if all(text in screen for text in texts) else None

        return self._see(look, f"screen shows {texts!r}", seconds)

    def wait_without(self, text: str, *, seconds: float = PATIENCE_SECONDS) -> str:
        """Wait until the screen no longer shows `text`, and return it."""

        def look() -> str | None:
            screen = self.screen
            return screen if text not in screen else None

        return self._see(look, f"screen no longer shows {text!r}", seconds)

    def wait_quiet(self, quiet_seconds: float = 0.3, *, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until nothing was written for `quiet_seconds`."""
        length, since = -1, time.monotonic()

        def look() -> bool:
            nonlocal length, since
            now = len(self.received)
            if now != length:
                length, since = now, time.monotonic()
            return time.monotonic() - since >= quiet_seconds

        eventually(look, "the program writes nothing", seconds=seconds)

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size."""
        self.columns, self.rows = columns, rows
        self._screen.resize(rows, columns)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program."""
        os.kill(self.pid, number)

    def hang_up(self) -> None:
        """Take the terminal away, as a lost link does."""
        self._stop.set()
        if self._reader is not None:
            self._reader.join()
        os.close(self._master)
        self._master = -1

    @property
    def status(self) -> int | None:
        """The exit code once it has ended; negative for the signal that ended it."""
        if self._status is None and self.pid:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if found:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def wait_end(self, *, seconds: float = PATIENCE_SECONDS) -> int:
        """Wait until the program has ended and return its exit code."""
        eventually(lambda: self.status is not None, "the program ends", seconds=seconds)
        assert self._status is not None
        self._drain()
        return self._status

    def _drain(self) -> None:
        if self._reader is not None and self._master >= 0:
            self._reader.join(timeout=20)

    def close(self) -> None:
        """End the program, whatever it does, and give the terminal back."""
        if self.pid and self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            eventually(lambda: self.status is not None, "the killed program is gone")
        self._stop.set()
        if self._reader is not None:
            self._reader.join(timeout=20)
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def _see(self, look: Callable[[], str | None], what: str, seconds: float) -> str:
        try:
            return eventually(look, what, seconds=seconds)
        except AssertionError:
            raise AssertionError(
                f"not within {seconds:g} s: {what}; it shows:\n{self.screen}"
            ) from None


def emulated(data: bytes) -> bytes:
    """Return what the emulator understands of the bytes a program wrote."""
    return _UNKNOWN_TO_EMULATOR.sub(b"", data)


def sequences(data: bytes) -> set[bytes]:
    """Return every escape sequence used, without the places and colours in it."""
    found = set()
    for match in SEQUENCE.finditer(data):
        whole = match[0]
        found.add(re.sub(rb"[0-9;]+", b"#", whole) if whole.startswith(b"\x1b[") else whole[:4])
    return found
