"""How the console feels on a crowded plane: first frame, key to paint, bytes on the wire.

`python -m tests.benchmarks.console [--agents 1000] [--pending 10000] [--events 200]`. The console
runs in a real terminal (a PTY) of its own; what it writes is kept with its time and replayed on an
emulator afterwards, so that looking at the screen costs the measurement nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pyte

from tests.benchmarks.crowd import fill, keep_busy
from tests.benchmarks.start import MIB, resident_bytes
from tests.rig.plane import Plane
from tests.rig.terminal import Terminal, emulated

CURSOR = "▸"
FRAME = "3 App"
PRESS_EVERY_SECONDS = 0.15


def replay(terminal: Terminal, look: Callable[[pyte.Screen], Any]) -> list[tuple[float, Any]]:
    """Return when what `look` sees on the screen changed, and to what."""
    screen = pyte.Screen(terminal.columns, terminal.rows)
    stream = pyte.ByteStream(screen)
    seen: list[tuple[float, Any]] = []
    written = terminal.received
    fed = 0
    for at, length in list(terminal.arrivals):
        stream.feed(emulated(written[fed:length]))
        fed = length
        value = look(screen)
        if not seen or value != seen[-1][1]:
            seen.append((at, value))
    return seen


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
        sent.append(time.perf_counter())
        terminal.type("k" if number % 2 else "j")
        pause.wait(PRESS_EVERY_SECONDS)
    pause.wait(1.0)
    moves = [at for at, row in replay(terminal, cursor_row) if row is not None]
    taken = []
    for at in sent:
        painted = next((moved for moved in moves if moved > at), None)
        taken.append((painted - at) * 1000 if painted else float("inf"))
    return taken


def bytes_per_second(terminal: Terminal, seconds: float) -> float:
    """Return what the console writes when nobody touches it."""
    before = len(terminal.received)
    threading.Event().wait(seconds)
    return (len(terminal.received) - before) / seconds


def measure(agents: int, pending: int, events: float, size: tuple[int, int]) -> dict[str, Any]:
    """Measure one console of this size on a plane with this crowd."""
    found: dict[str, Any] = {"size": f"{size[0]}x{size[1]}"}
    with tempfile.TemporaryDirectory(prefix="wk-bench-") as scratch:
        plane = Plane(Path(scratch, "p"), clock=None).start()
        terminal = Terminal(columns=size[0], rows=size[1])
        busy = None
        try:
            runs = fill(plane, agents=agents, pending=pending)
            busy = keep_busy(plane, runs, per_second=events, seconds=90)
            command = [sys.executable, "-m", "watchkeeper", "--state", str(plane.state)]
            began = time.perf_counter()
            terminal.start(command, env=plane.environ, cwd=Path(scratch))
            terminal.wait_for(FRAME)
            frames = replay(terminal, lambda screen: any(FRAME in row for row in screen.display))
            found["first_frame_seconds"] = round(frames[-1][0] - began, 2)
            for key, pane in (("3", "approvals"), ("2", "fleet")):
                terminal.type(key)
                threading.Event().wait(3.0)
                found[f"idle_bytes_per_second_{pane}"] = round(bytes_per_second(terminal, 6.0))
                taken = sorted(key_to_paint(terminal, 60))
                found[f"key_to_paint_p50_ms_{pane}"] = round(median(taken), 1)
                found[f"key_to_paint_p95_ms_{pane}"] = round(taken[int(len(taken) * 0.95)], 1)
            if terminal.status is not None:
                raise RuntimeError(f"the console ended:\n{terminal.screen}")
            found["console_resident_mib"] = round(resident_bytes(terminal.pid) / MIB, 1)
            assert plane.child is not None
            found["plane_resident_mib"] = round(resident_bytes(plane.child.pid) / MIB, 1)
            head = plane.operator.get("/v1/status")["sequence"]
            threading.Event().wait(2.0)
            now = plane.operator.get("/v1/status")["sequence"]
            found["events_per_second"] = round((now - head) / 2.0)
        finally:
            terminal.close()
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
