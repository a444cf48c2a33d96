"""What a tool of a demo server is made of."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Arguments = dict[str, Any]
Result = dict[str, Any]


class ToolFailed(Exception):
    """The tool ran and could not do what it was asked; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool: its face to clients and the function that does the work in one transaction."""

    name: str
    does: str
    run: Callable[[sqlite3.Connection, Arguments], Result]
    properties: dict[str, Any] = field(default_factory=dict)
    writes: bool = False

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the arguments; all of them are required."""
        return {
            "type": "object",
            "properties": self.properties,
            "required": list(self.properties),
            "additionalProperties": False,
        }


@dataclass(frozen=True, slots=True)
class Workplace:
    """One tool server: its tables, how they are first filled, and its tools."""

    name: str
    tables: str
    fill: Callable[[sqlite3.Connection], None]
    tools: Sequence[Tool]


TEXT: dict[str, Any] = {"type": "string", "maxLength": 6000}
NUMBER: dict[str, Any] = {"type": "number"}


def fetch(connection: sqlite3.Connection, query: str, key: str, what: str) -> sqlite3.Row:
    """Return the one row that `query` finds for `key`; raise `ToolFailed` if there is none."""
    row: sqlite3.Row | None = connection.execute(query, (key,)).fetchone()
    if row is None:
        raise ToolFailed(f"there is no {what} {key!r}")
    return row


def cents(amount_usd: float) -> int:
    """Return dollars as whole cents."""
    return round(amount_usd * 100)
