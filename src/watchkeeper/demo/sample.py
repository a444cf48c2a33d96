"""Reading the invented world that ships with the program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from watchkeeper.core.digest import parse
from watchkeeper.core.resources import resource_dir

Row = dict[str, Any]


def sample_directory() -> Path:
    """Return the directory of sample data; raises `NotFound` if the installation lacks it."""
    return resource_dir("sample_data")


def read_rows(path: Path) -> list[Row]:
    """Return the objects of a JSON Lines file, in order."""
    return [parse(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def read_world(name: str) -> list[Row]:
    """Return one table of the invented world, e.g. ``charges``."""
    return read_rows(sample_directory() / "world" / f"{name}.jsonl")


def read_work(agent: str) -> list[Row]:
    """Return the work items of one agent, in the order it takes them."""
    return read_rows(sample_directory() / "work" / f"{agent}.jsonl")


def fleet_files() -> list[tuple[str, str]]:
    """Return (relative path, text) of everything that the demo applies to a plane."""
    root = sample_directory() / "fleet"
    return [
        (path.relative_to(root).as_posix(), path.read_text(encoding="utf-8"))
        for path in sorted(root.rglob("*"))
        if path.suffix in {".yaml", ".cedar"}
    ]
