"""Locks: kills and pauses in force, and those that were lifted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from watchkeeper.console.actions import Action
from watchkeeper.console.blocks import Block
from watchkeeper.console.columns import Column
from watchkeeper.console.dialogs.killing import kill_action, lift_action
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span
from watchkeeper.console.pane import Pane
from watchkeeper.console.views import locks as view
from watchkeeper.wire.locks import LockRow
from watchkeeper.wire.pages import Page


class LocksPane(Pane[LockRow]):
    """All locks, newest first, with what their effects achieved."""

    key = "locks"
    title = "Locks"
    columns = (
        Column("since", "SINCE", 5),
        Column("state", "STATE", 9),
        Column("target", "TARGET", 26, least=18, grow=2, where="middle"),
        Column("receipts", "RECEIPTS", 14, priority=1),
        Column("by", "BY", 10, priority=3),
        Column("reason", "REASON", 24, least=15, grow=3, priority=2),
    )
    empty = "Nothing is locked. To stop something: ^x on it, in any list."
    watched = ("lock.", "receipt.")

    async def fetch(self, after: str | None, limit: int, filter: str) -> Page[LockRow]:
        """Read all locks; the filter works here."""
        page = await self.desk.client.locks(state="all")
        if not filter:
            return page
        wanted = filter.lower()
        rows = tuple(
            row for row in page.rows if wanted in f"{row.target.name} {row.reason} {row.by}".lower()
        )
        return page.model_copy(update={"rows": rows, "total": len(rows)})

    def row_id(self, row: LockRow) -> str:
        """The lock's id."""
        return row.lock

    def cells(self, row: LockRow, moment: Moment) -> Mapping[str, Span]:
        """One line."""
        return view.cells(row, moment)

    def blocks(self, row: LockRow, detail: Any, moment: Moment) -> Sequence[Block]:
        """Write the lock with its receipts."""
        return view.receipt_blocks(row, moment)

    def badge(self) -> str:
        """How many are in force."""
        count = sum(row.lifted_at is None for row in self.rows)
        return str(count) if count else ""

    def actions(self) -> Sequence[Action]:
        """Let go, or stop more."""
        return (lift_action(self), kill_action(self))
