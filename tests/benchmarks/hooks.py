"""What the hook costs a coding agent: its start beside `python -c pass`, and a whole decision.

`python -m tests.benchmarks.hooks [--rounds N] [--json FILE]`. Every figure is of a process from its
start to its end, as the coding agent waits for it; median and 95th percentile. `start` is the hook
refusing a wrong command line, `no plane` one that finds nobody, `decision` one that a plane on this
machine permits and commits; `command line` is the same through `watchkeeper hook`. The ways to
start are taken in turn, so that what else the machine does falls on all of them alike.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

from tests.hooks.ground import SCRIPT, before, command, enrolment, governed
from tests.rig.plane import Plane


def once(arguments: list[str], event: object, code: int) -> float:
    """Return the milliseconds that a process takes."""
    sent = json.dumps(event).encode()
    began = time.perf_counter()
    ended = subprocess.run(arguments, input=sent, capture_output=True, check=False)
    taken = (time.perf_counter() - began) * 1e3
    assert ended.returncode == code, ended
    return taken


def measure(rounds: int) -> dict[str, dict[str, float]]:
    """Take every way in turn, `rounds` times."""
    with tempfile.TemporaryDirectory(prefix="wk-bench-") as scratch:
        plane = Plane(Path(scratch), clock=None).start()
        try:
            enrolled = governed(plane)
            nowhere = enrolment(Path(scratch, "state"), "http://127.0.0.1:9", "wka_x")
            python = sys.executable
            hook = command("claude", enrolled)
            ways = {
                "python -c pass": ([python, "-c", "pass"], 0),
                "python -I -S -c pass": ([python, "-I", "-S", "-c", "pass"], 0),
                "start": ([python, "-I", "-S", str(SCRIPT)], 2),
                "no plane": (command("claude", nowhere), 2),
                "decision": (hook, 0),
                "command line": ([python, "-m", "watchkeeper", "hook", *hook[4:]], 0),
            }
            taken: dict[str, list[float]] = {name: [] for name in ways}
            for number in range(rounds + 1):
                for name, (arguments, code) in ways.items():
                    event = before(call=f"toolu_{name[0]}{number}", session="bench")
                    spent = once(arguments, event, code)
                    if number:  # the first opens the session's run
                        taken[name].append(spent)
        finally:
            plane.close()
    return {
        name: {
            "median_ms": round(median(values), 1),
            "p95_ms": round(quantiles(values, n=20)[-1], 1),
        }
        for name, values in taken.items()
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    figures = measure(chosen.rounds)
    least = figures["python -c pass"]["median_ms"]
    for name, figure in figures.items():
        more = figure["median_ms"] - least
        print(f"{name:22}{figure['median_ms']:>8} ms{figure['p95_ms']:>9} ms p95{more:>+9.1f}")
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
