"""Models: providers and how they do, logical models and where their calls went."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from watchkeeper.console.actions import Action
from watchkeeper.console.blocks import Block
from watchkeeper.console.columns import Column
from watchkeeper.console.dialogs.killing import kill_action, lift_action
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span
from watchkeeper.console.pane import Pane
from watchkeeper.console.views import models as view
from watchkeeper.wire.pages import Page


class ModelsPane(Pane[view.ModelLine]):
    """Providers first, what is down before all; then the names that agents call."""

    key = "models"
    title = "Models"
    columns = (
        Column("state", "STATE", 15),
        Column("calls", "CALLS", 8, align="right"),
        Column("errors", "ERRORS", 6, align="right", priority=1),
        Column("p50", "P50", 8, align="right", priority=5),
        Column("p95", "P95", 8, align="right", priority=2),
        Column("first", "FIRST", 8, align="right", priority=6),
        Column("spend", "TODAY", 9, align="right"),
        Column("cache", "CACHED", 6, align="right", priority=4),
        Column("name", "NAME", 20, least=14, grow=1, where="middle"),
        Column("kind", "KIND", 8, priority=7),
        Column("what", "WHAT IT IS", 24, grow=3, priority=8),
    )
    empty = "No models. Apply `provider` and `model` documents: watchkeeper help models."
    watched = ("outcome.", "provider.", "contract.", "lock.", "breaker.")

    async def fetch(self, after: str | None, limit: int, filter: str) -> Page[view.ModelLine]:
        """Read both lists; the filter works here."""
        client = self.desk.client
        providers, models = await asyncio.gather(client.providers(), client.models())
        wanted = filter.lower()
        rows = tuple(
            row for row in view.lines(providers.rows, models.rows) if wanted in row.name.lower()
        )
        return Page[view.ModelLine](rows=rows, total=len(rows), sequence=models.sequence)

    def row_id(self, row: view.ModelLine) -> str:
        """Its kind and name."""
        return f"{row.kind}/{row.name}"

    def subject(self, row: view.ModelLine) -> str:
        """What is copied."""
        return row.name

    def cells(self, row: view.ModelLine, moment: Moment) -> Mapping[str, Span]:
        """One line."""
        return view.cells(row, moment)

    def blocks(self, row: view.ModelLine, detail: Any, moment: Moment) -> Sequence[Block]:
        """Write it."""
        return view.blocks(row, moment)

    def caption(self) -> Sequence[Span]:
        """How many, what was spent, and what is down."""
        return view.summary(self.rows) if self.window.complete and len(self.window) else ()

    def badge(self) -> str:
        """How many providers are down."""
        down = sum(row.provider is not None and row.provider.state == "down" for row in self.rows)
        return f"{down}!" if down else ""

    def actions(self) -> Sequence[Action]:
        """Stop a model."""
        return (kill_action(self), lift_action(self))
