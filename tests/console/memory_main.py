"""Run the console over rows in memory in a real terminal, for the tests that count bytes.

Its one argument is JSON: how many rows (`count`), how many change each second, what they hold.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from tests.console.corpus import HARMLESS, HOSTILE
from tests.console.memory import Item_, MemoryConsole, items, memory_console
from watchkeeper.console.configuration import Configuration
from watchkeeper.console.terminal import refuse_unfit
from watchkeeper.core.clock import MICROSECONDS, SystemClock
from watchkeeper.core.errors import WatchkeeperError


def main(wanted: dict[str, object]) -> int:
    """Run until it is left."""
    try:
        refuse_unfit()
    except WatchkeeperError as error:
        sys.stderr.write(f"watchkeeper: {error}\n")
        return 2
    clock = SystemClock()
    hour = clock.now() // (3600 * MICROSECONDS) % 24
    later = 40_000 * MICROSECONDS if wanted.get("far") else 0
    rows = items(int(str(wanted.get("count", 50))), now=clock.now() + later)
    words = wanted.get("words")
    if words in ("hostile", "harmless"):
        held = HOSTILE if words == "hostile" else HARMLESS
        rows = [
            Item_(**{**row.model_dump(), "asks": text, "object": text, "words": text * 3})
            for row, text in zip(items(len(held), now=clock.now()), held, strict=True)
        ]
    console = memory_console(
        rows,
        Path(os.environ["WATCHKEEPER_STATE"]),
        theme=None if os.environ.get("NO_COLOR") else str(wanted.get("theme", "watch-dark")),
        configuration=Configuration(
            clock_seconds=bool(wanted.get("seconds", True)),
            ascii=bool(wanted.get("ascii", False)),
            notifications=tuple(str(wanted.get("calls", "")).split()),
            quiet_from=f"{(hour - 1) % 24:02}:00" if wanted.get("quiet") else "",
            quiet_until=f"{(hour + 2) % 24:02}:00" if wanted.get("quiet") else "",
        ),
        monotonic=time.monotonic,
        clock=clock,
    )
    console.plane.sent = Path(os.environ["HOME"]) / "sent"
    console.plane.waiting = int(str(wanted.get("waiting", 0)))
    changing = int(str(wanted.get("changing", 0)))
    if changing or any(wanted.get(name) for name in ("crash", "stuck", "events")):
        disturbance = Disturbance(console, changing, wanted)
        console.call_later(lambda: console.set_interval(0.05, disturbance.go_on))
    console.run(mouse=False)
    return console.return_code or 0


class Disturbance:
    """Changes rows, says events or fails, twenty times a second."""

    def __init__(self, console: MemoryConsole, changing: int, wanted: dict[str, object]) -> None:
        self.plane = console.plane
        self.changing = changing
        self.wanted = wanted
        self.events = int(str(wanted.get("events", 0))) // 20
        self.turn = 0

    def go_on(self) -> None:
        """Take one turn; raises `RuntimeError` when a crash is wanted."""
        self.turn += 1
        if self.wanted.get("crash") and self.turn == 20:
            secret = "wkr_planted-canary"
            raise RuntimeError(secret)
        if self.wanted.get("more") and self.turn % 40 == 0:
            self.plane.waiting += 1
        while self.wanted.get("stuck"):
            Path(os.environ["HOME"], "stuck").touch()
        for _ in range(self.events):
            self.plane.say("run.opened" if self.turn % 2 else "request.created")
        if self.turn % 5 == 0 and self.changing:
            for index in range(self.changing):
                row = self.plane.rows[index]
                new = {**row.model_dump(), "due_at": row.due_at + self.turn * MICROSECONDS}
                self.plane.rows[index] = Item_(**new)
            self.plane.say()


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}))
