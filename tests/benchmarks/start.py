"""How long a plane takes to be ready, what it weighs in memory, and what is installed.

`python -m tests.benchmarks.start [--install] [--json FILE]`. With `--install`, the README's first
command is run (up to the demo) in a clean copy, and the environment that it makes is weighed.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from tests.rig.plane import Plane
from tests.rig.process import ROOT
from tests.rig.world import POLICY, world

MIB = 1 << 20


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    assert found
    return int(found[1]) * 1024


def size_on_disk(directory: Path) -> int:
    """Return what a directory takes on disk, in bytes, as `du` counts it."""
    return sum(p.lstat().st_blocks * 512 for p in directory.rglob("*"))


def measure_plane(rounds: int) -> dict[str, Any]:
    """Start planes one after another; the second start on a state finds it prepared."""
    fresh: list[float] = []
    again: list[float] = []
    weights: list[int] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="wk-bench-") as scratch:
            plane = Plane(Path(scratch), clock=None)
            try:
                for taken in (fresh, again):
                    began = time.perf_counter()
                    plane.start()
                    taken.append(time.perf_counter() - began)
                    if taken is fresh:
                        plane.apply(*world(), policy__cedar=POLICY)
                        plane.stop()
                assert plane.child is not None
                weights.append(resident_bytes(plane.child.pid))
            finally:
                plane.close()
    return {
        "ready_seconds_fresh": round(median(fresh), 2),
        "ready_seconds_again": round(median(again), 2),
        "resident_mib": round(median(weights) / MIB, 1),
    }


def measure_help(rounds: int) -> float:
    """Return the median seconds of `watchkeeper --help`."""
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        command = [sys.executable, "-m", "watchkeeper", "--help"]
        subprocess.run(command, check=True, capture_output=True)
        taken.append(time.perf_counter() - began)
    return round(median(taken), 2)


def measure_install() -> dict[str, Any]:
    """Run the README's first command, up to the demo, in a clean copy; time and weigh it."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    first = re.findall(r"^```sh\n(.*?)\n```$", text, re.M | re.S)[0]
    command = first.rpartition(" && ")[0]
    with tempfile.TemporaryDirectory(prefix="wk-install-") as scratch:
        copy = Path(scratch, "copy")
        ignored = shutil.ignore_patterns(".venv", ".git", "__pycache__", ".*_cache")
        shutil.copytree(ROOT, copy, ignore=ignored)
        began = time.perf_counter()
        subprocess.run(["bash", "-c", command], cwd=copy, check=True)
        seconds = round(time.perf_counter() - began, 1)
        return {
            "install_seconds": seconds,
            "installed_mib": round(size_on_disk(copy / ".venv") / MIB, 1),
        }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    figures = measure_plane(chosen.rounds)
    figures["help_seconds"] = measure_help(chosen.rounds)
    if chosen.install:
        figures |= measure_install()
    for name, value in figures.items():
        print(f"{name:24}{value:>10}")
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
