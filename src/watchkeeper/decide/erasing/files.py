"""The plane's own logs: lines about a person, written over where they stand."""

from __future__ import annotations

import mmap
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from watchkeeper.decide.erasing.sought import pattern_of


def holding(state: Path, within: Collection[str]) -> tuple[str, ...]:
    """Return the logs that hold one of these texts, by their names in the state directory."""
    if not within:
        return ()
    pattern, found = _pattern(within), []
    for path in _logs(state):
        with path.open("rb") as stream, _mapped(stream.fileno(), mmap.ACCESS_READ) as data:
            if pattern.search(data):
                found.append(str(path.relative_to(state)))
    return tuple(found)


def overwrite(state: Path, within: Collection[str]) -> None:
    """Write over them, each as long as it was: whoever appends meanwhile loses nothing."""
    if not within:
        return
    pattern = _pattern(within)
    for path in _logs(state):
        with path.open("r+b") as stream, _mapped(stream.fileno(), mmap.ACCESS_WRITE) as data:
            for start, end in [one.span() for one in pattern.finditer(data)]:
                data[start:end] = b"*" * (end - start)
            data.flush()


def _mapped(descriptor: int, access: int) -> mmap.mmap:
    return mmap.mmap(descriptor, 0, access=access)


def _pattern(within: Collection[str]) -> re.Pattern[bytes]:
    return re.compile(pattern_of(within).encode(), re.IGNORECASE)


def _logs(state: Path) -> Iterator[Path]:
    for path in sorted(state.rglob("*.log*")):
        if path.is_file() and not path.is_symlink() and path.stat().st_size:
            yield path
