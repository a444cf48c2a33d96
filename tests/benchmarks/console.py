"""How the console feels on a crowded plane: first frame, key to paint, bytes on the wire.

`python -m tests.benchmarks.console [--agents 1000] [--pending 10000] [--events 200]`. The console
runs in a real terminal (a PTY) of its own; what it writes is kept with its time and replayed on an
emulator afterwards, so that looking at the screen costs the measurement nothing.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pyte

from tests.benchmarks.crowd import fill, keep_busy
from tests.benchmarks.start import MIB, resident_bytes
from tests.rig.deadline import eventually
from tests.rig.plane import Plane

CURSOR = "▸"
PRESS_EVERY_SECONDS = 0.15


class Terminal:
    """A PTY whose output is kept, chunk by chunk, with the time it came."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.chunks: list[tuple[float, bytes]] = []
        self.began = 0.0
        self.process: subprocess.Popen[bytes] | None = None
        self._ours, self._theirs = pty.openpty()
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, size)

    def start(self, command: list[str], env: dict[str, str]) -> None:
        """Run `command` with this as its controlling terminal."""
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-c", _TAKE_TERMINAL, *command],
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            env={**env, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
            start_new_session=True,
        )
        os.close(self._theirs)
        threading.Thread(target=self._read, daemon=True).start()

    def press(self, key: str) -> float:
        """Send a key and return the time it was sent."""
        at = time.perf_counter()
        os.write(self._ours, key.encode())
        return at

    @property
    def received(self) -> int:
        """Bytes written by the program so far."""
        return sum(len(data) for _, data in list(self.chunks))

    def shown(self) -> str:
        """Everything written so far, as text; good enough to wait for a word."""
        return b"".join(data for _, data in list(self.chunks)).decode(errors="replace")

    def end(self) -> None:
        """End the program."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def replay(self, look: Callable[[pyte.Screen], Any]) -> list[tuple[float, Any]]:
        """Return when what `look` sees on the screen changed, and to what."""
        screen = pyte.Screen(self.columns, self.rows)
        stream = pyte.ByteStream(screen)
        seen: list[tuple[float, Any]] = []
        for at, data in self.chunks:
            stream.feed(data)
            value = look(screen)
            if not seen or value != seen[-1][1]:
                seen.append((at, value))
        return seen

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._ours, 65536)
            except OSError:
                return
            self.chunks.append((time.perf_counter(), data))


_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execvp(sys.argv[1], sys.argv[1:])"
)


def cursor_row(screen: pyte.Screen) -> int | None:
    """Return the row that the list's cursor is on."""
    for row in range(screen.lines):
        if screen.buffer[row][0].data == CURSOR:
            return row
    return None


def key_to_paint(terminal: Terminal, presses: int) -> list[float]:
    """Press down and up in turn; return the milliseconds until the cursor is painted there."""
    pause = threading.Event()
    sent = []
    for number in range(presses):
        sent.append(terminal.press("k" if number % 2 else "j"))
        pause.wait(PRESS_EVERY_SECONDS)
    pause.wait(1.0)
    moves = [at for at, row in terminal.replay(cursor_row) if row is not None]
    taken = []
    for at in sent:
        painted = next((moved for moved in moves if moved > at), None)
        taken.append((painted - at) * 1000 if painted else float("inf"))
    return taken


def bytes_per_second(terminal: Terminal, seconds: float) -> float:
    """Return what the console writes when nobody touches it."""
    before = terminal.received
    threading.Event().wait(seconds)
    return (terminal.received - before) / seconds


def measure(agents: int, pending: int, events: float, size: tuple[int, int]) -> dict[str, Any]:
    """Measure one console of this size on a plane with this crowd."""
    found: dict[str, Any] = {"size": f"{size[0]}x{size[1]}"}
    with tempfile.TemporaryDirectory(prefix="wk-bench-") as scratch:
        plane = Plane(Path(scratch, "p"), clock=None).start()
        terminal = Terminal(*size)
        busy = None
        try:
            runs = fill(plane, agents=agents, pending=pending)
            busy = keep_busy(plane, runs, per_second=events, seconds=90)
            command = [sys.executable, "-m", "watchkeeper", "--state", str(plane.state)]
            terminal.start(command, plane.environ)
            eventually(lambda: "Approvals" in terminal.shown(), "the frame", seconds=30)
            framed = next(at for at, _ in terminal.replay(lambda s: "Approvals" in s.display[1]))
            found["first_frame_seconds"] = round(framed - terminal.began, 2)
            for key, pane in (("3", "approvals"), ("2", "fleet")):
                terminal.press(key)
                threading.Event().wait(3.0)
                found[f"idle_bytes_per_second_{pane}"] = round(bytes_per_second(terminal, 6.0))
                taken = sorted(key_to_paint(terminal, 60))
                found[f"key_to_paint_p50_ms_{pane}"] = round(median(taken), 1)
                found[f"key_to_paint_p95_ms_{pane}"] = round(taken[int(len(taken) * 0.95)], 1)
            assert terminal.process is not None
            if terminal.process.poll() is not None:
                raise RuntimeError(f"the console ended:\n{terminal.shown()[-3000:]}")
            found["console_resident_mib"] = round(resident_bytes(terminal.process.pid) / MIB, 1)
            assert plane.child is not None
            found["plane_resident_mib"] = round(resident_bytes(plane.child.pid) / MIB, 1)
            head = plane.operator.get("/v1/status")["sequence"]
            threading.Event().wait(2.0)
            now = plane.operator.get("/v1/status")["sequence"]
            found["events_per_second"] = round((now - head) / 2.0)
        finally:
            terminal.end()
            if busy is not None:
                busy.kill()
                busy.wait()
            plane.close()
    return found


def main() -> None:
    """Measure at two sizes and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--pending", type=int, default=10_000)
    parser.add_argument("--events", type=float, default=200)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    everything = []
    for size in ((80, 24), (160, 48)):
        figures = measure(chosen.agents, chosen.pending, chosen.events, size)
        everything.append(figures)
        for name, value in figures.items():
            print(f"{name:36}{value:>10}")
    if chosen.json:
        chosen.json.write_text(json.dumps(everything, indent=1))


if __name__ == "__main__":
    main()
