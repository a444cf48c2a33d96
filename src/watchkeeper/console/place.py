"""Where the person was: kept between two starts of the console."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

PLACE_FILE = "console.json"
LARGEST = 64 * 1024


@dataclass(frozen=True)
class Place:
    """The pane in front, its filter, and the row under the cursor."""

    pane: str = ""
    filter: str = ""
    row: str = ""


def read_place(directory: Path) -> Place:
    """Return where the person was; the beginning if that is not known."""
    try:
        path = directory / PLACE_FILE
        held = json.loads(path.read_bytes()[:LARGEST])
        texts = {key: held.get(key, "") for key in ("pane", "filter", "row")}
    except (OSError, ValueError, AttributeError):
        return Place()
    if not all(isinstance(text, str) and len(text) <= 4000 for text in texts.values()):
        return Place()
    return Place(**texts)


def write_place(directory: Path, place: Place) -> bool:
    """Keep a place in a file that only its owner reads; tell whether that succeeded."""
    path = directory / PLACE_FILE
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(asdict(place), file)
        fresh.replace(path)
    except OSError:
        return False
    return True
