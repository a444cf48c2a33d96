"""Runtimes: where agents' work runs, what runs there, and what nobody knows of."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from watchkeeper.console.actions import Action
from watchkeeper.console.blocks import Block
from watchkeeper.console.columns import Column
from watchkeeper.console.desk import Desk
from watchkeeper.console.dialogs import runtimes as dialogs
from watchkeeper.console.dialogs.killing import kill_action
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span
from watchkeeper.console.pane import Pane
from watchkeeper.console.views import runtimes as view
from watchkeeper.wire.pages import Page
from watchkeeper.wire.permissions import Permission

MOST_RUNS = 100
"""Of one runtime that are listed here, and as many rogue ones."""


class RuntimesPane(Pane[view.RuntimeLine]):
    """Each runtime with what runs in it, rogue runs first."""

    key = "runtimes"
    title = "Runtimes"
    columns = (
        Column("state", "STATE", 11),
        Column("name", "NAME", 26, least=18, grow=2, where="middle"),
        Column("standing", "WHOSE", 16),
        Column("agent", "AGENT", 18, least=12, grow=1, priority=1),
        Column("seen", "SEEN", 5, align="right", priority=2),
        Column("what", "WHAT IT SAYS", 24, grow=3, priority=3),
    )
    empty = "No runtimes yet. They are applied as documents: watchkeeper help runtimes."
    watched = ("runtime.", "run.", "lock.", "request.", "contract.")

    async def fetch(self, after: str | None, limit: int, filter: str) -> Page[view.RuntimeLine]:
        """Read the runtimes and what runs there; the filter works here."""
        client = self.desk.client
        page = await client.runtimes()
        reads = [
            client.remote_runs(row.runtime, standing=standing, limit=MOST_RUNS)
            for row in page.rows
            for standing in ("rogue", None)
        ]
        found = await asyncio.gather(*reads)
        runs = {
            row.runtime: tuple(
                {run.id: run for part in found[2 * place : 2 * place + 2] for run in part.rows}
                .values()
            )
            for place, row in enumerate(page.rows)
        }  # fmt: skip
        wanted = filter.lower()
        rows = tuple(
            line
            for line in view.lines(page.rows, runs)
            if wanted in f"{line.name} {line.run.agent if line.run else ''}".lower()
        )
        return Page[view.RuntimeLine](rows=rows, total=len(rows), sequence=page.sequence)

    def row_id(self, row: view.RuntimeLine) -> str:
        """The runtime, and the run in it."""
        return f"{row.runtime.runtime}/{row.run.id}" if row.run else row.runtime.runtime

    def subject(self, row: view.RuntimeLine) -> str:
        """What is copied."""
        return row.name

    def cells(self, row: view.RuntimeLine, moment: Moment) -> Mapping[str, Span]:
        """One line."""
        return view.cells(row, moment)

    def blocks(self, row: view.RuntimeLine, detail: Any, moment: Moment) -> Sequence[Block]:
        """Write it."""
        return view.blocks(row, moment)

    def caption(self) -> Sequence[Span]:
        """How many, and what is wrong."""
        return view.summary(self.rows) if self.window.complete and len(self.window) else ()

    def badge(self) -> str:
        """How many rogue runs there are."""
        rogue = sum(row.runtime.rogue for row in self.rows if row.run is None)
        return f"{rogue}!" if rogue else ""

    def actions(self) -> Sequence[Action]:
        """Stop a run there, pause it, or take it over; or kill whose it is."""
        return (
            self._action(
                "adopt", "A", dialogs.adopt, "lift", dialogs.why_not_adopt,
                "Take a rogue run over: from now on it is an agent's.",
            ),
            self._action(
                "stop", "S", dialogs.stop, "lock",
                lambda line: dialogs.why_not(line, "stop"),
                "Stop the run in its runtime; its agent may go on.",
            ),
            self._action(
                "pause", "P", dialogs.pause, "lock",
                lambda line: dialogs.why_not(line, "pause"),
                "Pause the run in its runtime, or let it go on.",
            ),
            kill_action(self),
        )  # fmt: skip

    def _action(
        self,
        name: str,
        key: str,
        work: Callable[[Desk, view.RuntimeLine], Awaitable[None]],
        needs: Permission,
        why_not: Callable[[view.RuntimeLine | None], str | None],
        explain: str,
    ) -> Action:
        async def run() -> None:
            line = self.current
            if line is not None:
                await work(self.desk, line)

        return Action(
            id=f"runtimes.{name}",
            title=name,
            keys=(key,),
            group="Runtime",
            run=run,
            changes=True,
            danger=name == "stop",
            needs=needs,
            why_not=lambda: why_not(self.current),
            pane=self.key,
            footer=60,
            explain=explain,
        )
