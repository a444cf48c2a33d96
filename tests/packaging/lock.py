"""Writes `requirements.lock`: every package by version and hash, for runtime and for tests.

Run `python -m tests.packaging.lock` after changing dependencies (add `--upgrade` to move
versions). The first part is what the product and its build need. The rest is only for tests
and checks; its lines carry the prefix `#test `, so that pip passes over them unless the
prefix is taken off, as the second command of the README does.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements.lock"
PREFIX = "#test "
HEADER = """\
# Written by `python -m tests.packaging.lock`. Lines that begin with `#test` are needed only by
# the tests; the README's second command takes the prefix off.
"""


def split_entries(text: str) -> dict[str, str]:
    """Return the lock's entries (requirement line and its hashes) by requirement name."""
    entries: dict[str, str] = {}
    for block in re.findall(r"^[a-z0-9][^\n]*(?:\n +--hash[^\n]*)+", text, re.MULTILINE):
        entries[re.split(r"==", block, maxsplit=1)[0]] = block + "\n"
    return entries


def locked_versions(text: str, *, tests: bool) -> dict[str, str]:
    """Return versions by package name; with `tests`, those that only tests need too."""
    if tests:
        text = re.sub(f"^{PREFIX}", "", text, flags=re.MULTILINE)
    return {
        name: re.split(r"==| ", block)[1].rstrip("\\").strip()
        for name, block in split_entries(text).items()
    }


def resolve(*options: str, pins: str = "") -> str:
    """Resolve `pyproject.toml` for every platform and return the text with hashes."""
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch, "out.txt")
        output.write_text(pins, encoding="utf-8")
        command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "pyproject.toml"]
        command += ["--universal", "--python-version", "3.11", "--generate-hashes"]
        command += ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
        command += [*options, "--output-file", str(output)]
        subprocess.run(command, cwd=ROOT, check=True)
        return output.read_text(encoding="utf-8")


def write_lock(*, upgrade: bool) -> None:
    """Resolve everything together, then write runtime entries first and test entries after."""
    known = "" if upgrade or not LOCK.exists() else LOCK.read_text(encoding="utf-8")
    known = re.sub(f"^{PREFIX}", "", known, flags=re.MULTILINE)
    everything = resolve("--all-extras", "--group", "build", pins=known)
    runtime = split_entries(resolve("--group", "build", pins=everything))
    only_tests = {n: b for n, b in split_entries(everything).items() if n not in runtime}
    commented = "".join(
        re.sub("^", PREFIX, block.rstrip("\n"), flags=re.MULTILINE) + "\n"
        for block in only_tests.values()
    )
    LOCK.write_text(HEADER + "".join(runtime.values()) + commented, encoding="utf-8")


if __name__ == "__main__":
    write_lock(upgrade="--upgrade" in sys.argv[1:])
