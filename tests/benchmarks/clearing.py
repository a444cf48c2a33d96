"""Clearing a queue by keyboard: how many keys a decision takes, counted in a real terminal.

`python -m tests.benchmarks.clearing [--requests 100] [--together]`. A scripted approver sits at the
console under tmux (124×34) before so many waiting requests: 6 in 10 of low risk, 25 % medium, 10 %
high, 5 % critical. It looks at the row under the cursor, presses what that risk takes, and goes on
until nothing waits; with `--together` it clears the low ones by mark and one decision. Every key is
counted; afterwards the plane is asked whether each request was decided once, as what was shown.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from tests.console.desk_world import DeskWorld
from tests.rig.console import ConsoleDriver, DialogDriver
from tests.rig.plane import Plane
from tests.rig.tmux import Tmux

SHARES = (("note", "low", 60), ("move", "medium", 25), ("refund", "high", 10),
          ("close_account", "critical", 5))  # fmt: skip
UNDO_SECONDS = 6


class Approver:
    """Reads the screen, presses keys, counts them."""

    def __init__(self, console: ConsoleDriver) -> None:
        self.console = console
        self.keys: Counter[str] = Counter()
        self.decided: Counter[str] = Counter()
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def press(self, risk: str, *keys: str) -> None:
        """Press keys for a decision; each letter of a typed text is one."""
        named = {"Enter", "Tab", "PageDown"}
        self.keys[risk] += sum(1 if key in named else len(key) for key in keys)
        self.console.press(*keys)

    def current(self) -> str | None:
        """Return the line of the list that the cursor is on."""
        return next((row for row in self.console.rows() if row.startswith("▸ ")), None)

    def clear(self) -> None:
        """Decide whatever is under the cursor, until nothing waits."""
        while True:
            row = self.console.until(self._next, "a request, or an empty queue")
            if not row.startswith("▸ "):
                return
            risk = next(r for _, r, _ in SHARES if re.search(rf"\b{r}\b", row))
            before, began = self._identity(), time.monotonic()
            getattr(self, "_" + ("heavy" if risk in ("high", "critical") else risk))(risk)
            self.console.until(lambda: self._is_past(before), "the next request")  # noqa: B023
            self.seconds[risk].append(time.monotonic() - began)
            self.decided[risk] += 1

    def clear_together(self) -> None:
        """Decide all of one kind at once."""
        self.console.until(self._next, "a request")
        row = self.current() or ""
        if "low" not in row:
            return
        self.press("low", "=")
        found = self.console.expect_match(r"(\d+) alike are marked")
        count = int(found[1])
        began = time.monotonic()
        self.press("low", "a")
        dialog = self.console.dialog(f"Approve {count} requests?")
        self.press("low", str(count), "Enter", "Enter")
        self._gone(dialog)
        self.console.expect(f"{count} approved")
        self.console.until(lambda: not any(" low " in r for r in self.console.rows()), "they left")
        self.seconds["low"].append(time.monotonic() - began)
        self.decided["low"] += count

    def _low(self, risk: str) -> None:
        self.press(risk, "a")

    def _asked(self, risk: str) -> DialogDriver:
        """Press the key until its dialog opens: one that comes too fast is told to come again."""
        self.press(risk, "a")
        seen = self.console.expect_match("Approve this\\?|press again")
        if seen[0] == "press again":
            self.console.expect_no("press again")
            return self._asked(risk)
        return self.console.dialog("Approve this?")

    def _medium(self, risk: str) -> None:
        dialog = self._asked(risk)
        self.press(risk, "Enter")
        self._gone(dialog)

    def _heavy(self, risk: str) -> None:
        dialog = self._asked(risk)
        wanted = self.console.until(
            lambda: re.search(r"Type (\S+)", dialog.text), "what is to be typed"
        )
        while not self._at_end(dialog):
            before = self._place()
            self.press(risk, "PageDown")
            self.console.until(lambda: self._place() != before, "the next page")  # noqa: B023
        self.press(risk, "Tab", wanted[1], "Enter", "Enter", "Enter")
        self._gone(dialog)

    def _at_end(self, dialog: DialogDriver) -> bool:
        found = re.search(r"(\d+)-(\d+)/(\d+)", self._place())
        return not dialog.lines or found is None or found[2] == found[3]

    def _place(self) -> str:
        """Return the last line of the dialog's frame, which says what of it is shown."""
        return next((x for x in reversed(self.console.screen.split("\n")) if "└" in x), "")

    def _gone(self, dialog: DialogDriver) -> None:
        self.console.until(lambda: not dialog.lines, "the dialog is gone")

    def _is_read(self, row: str) -> bool:
        """Whether what the cursor is on stands beside the list, as a person waits to see it."""
        about = re.search(r"(acc|ch)_\w+", row)
        beside = [line.partition("│")[2] for line in self.console.screen.split("\n")[3:]]
        shown = "\n".join(beside)
        return about is not None and about[0] in beside[0] and "Who asks" in shown

    def _is_past(self, before: str | None) -> bool:
        return self._identity() not in (None, before) or "No approvals wait" in self.console.screen

    def _identity(self) -> str | None:
        """Return what the request under the cursor is about."""
        found = re.search(r"(acc|ch)_\w+", self.current() or "")
        return found[0] if found else None

    def _next(self) -> str | None:
        if "No approvals wait" in self.console.screen:
            return "nothing waits"
        row = self.current()
        return row if row and self._is_read(row) else None


def fill(plane: Plane, requests: int) -> dict[str, str]:
    """Let agents ask for so many; return each request with its digest."""
    world = DeskWorld(plane, max_pending=requests)
    held = {}
    for tool, risk, share in SHARES:
        for number in range(max(1, requests * share // 100)):
            if tool == "refund":
                request = world.hold("clerk", "create_refund", charge_id=f"ch_{number}",
                                     amount_usd=250 + number)  # fmt: skip
            else:
                request = world.hold("teller", tool, account=f"acc_{risk}_{number}")
            held[request] = plane.operator.get(f"/v1/requests/{request}")["digest"]
    return held


def measure(requests: int, *, together: bool) -> dict[str, Any]:
    """Clear a queue; return keys and seconds per decision by risk, and what the plane holds."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        plane = Plane(Path(place)).start()
        try:
            held = fill(plane, requests)
            with Tmux(columns=124, rows=34) as terminal:
                line = f"{sys.executable} -m watchkeeper --state {plane.state}"
                environment = {"PATH": os.environ["PATH"], "HOME": place}
                console = ConsoleDriver.start(terminal, line, env=environment, cwd=Path(place))
                console.pane("Approvals")
                approver = Approver(console)
                began = time.monotonic()
                if together:
                    approver.clear_together()
                approver.clear()
                console.press("Enter")
                seconds = time.monotonic() - began
            states: Counter[str] = Counter()
            for request, digest in held.items():
                detail = plane.operator.get(f"/v1/requests/{request}")
                (vote,) = detail["votes"]
                states[f"{detail['state']}, {vote['verdict']}"] += 1
                assert vote["digest"] == digest
        finally:
            plane.close()
    return {
        "requests": len(held),
        "together": together,
        "keys": {r: round(approver.keys[r] / n, 2) for r, n in approver.decided.items()},
        "decided": dict(approver.decided),
        "seconds": {r: round(sum(s) / len(s), 2) for r, s in approver.seconds.items()},
        "keys_in_all": sum(approver.keys.values()),
        "minutes_in_all": round(seconds / 60, 2),
        "states": dict(states),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--together", action="store_true")
    given = parser.parse_args()
    print(json.dumps(measure(given.requests, together=given.together), indent=2))


if __name__ == "__main__":
    main()
