"""The plane's own logs: lines about a person, written over where they stand."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

_LARGEST = 256 * 1024 * 1024


def holding(state: Path, within: Collection[str]) -> tuple[str, ...]:
    """Return the logs that hold one of these texts, by their names in the state directory."""
    return tuple(
        str(path.relative_to(state)) for path, data in _logs(state) if _pattern(within).search(data)
    ) if within else ()  # fmt: skip


def overwrite(state: Path, within: Collection[str]) -> None:
    """Write over them, each as long as it was: whoever appends meanwhile loses nothing."""
    if not within:
        return
    pattern = _pattern(within)
    for path, data in _logs(state):
        found = list(pattern.finditer(data))
        if not found:
            continue
        with path.open("r+b") as stream:
            for one in found:
                stream.seek(one.start())
                stream.write(b"*" * (one.end() - one.start()))


def _pattern(within: Collection[str]) -> re.Pattern[bytes]:
    return re.compile(b"|".join(re.escape(one.encode()) for one in within), re.IGNORECASE)


def _logs(state: Path) -> Iterator[tuple[Path, bytes]]:
    for path in sorted(state.rglob("*.log*")):
        if path.is_file() and not path.is_symlink() and path.stat().st_size <= _LARGEST:
            yield path, path.read_bytes()
