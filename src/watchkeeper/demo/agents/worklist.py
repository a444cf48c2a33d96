"""An agent's items in order, and a note of which are done, so that a restart goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class Worklist:
    """Hands out items one at a time; begins anew when all are done."""

    def __init__(self, items: Sequence[Mapping[str, Any]], notes: Path) -> None:
        self._items = items
        self._notes = notes
        self._taken: set[str] = set()
        self._done = set(notes.read_text().split()) if notes.exists() else set()

    def take(self) -> Mapping[str, Any]:
        """Return the next item that nobody works on."""
        for item in self._items:
            if item["item"] not in self._done and item["item"] not in self._taken:
                self._taken.add(item["item"])
                return item
        self._done = set()
        self._notes.unlink(missing_ok=True)
        item = next((i for i in self._items if i["item"] not in self._taken), self._items[0])
        self._taken.add(item["item"])
        return item

    def finish(self, item: Mapping[str, Any]) -> None:
        """Note that an item is done."""
        self._taken.discard(item["item"])
        self._done.add(item["item"])
        with self._notes.open("a") as notes:
            notes.write(f"{item['item']}\n")
