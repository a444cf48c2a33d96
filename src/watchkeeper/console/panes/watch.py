"""Watch: what needs a person now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from watchkeeper.console.actions import Action, key_label
from watchkeeper.console.blocks import Block
from watchkeeper.console.columns import Column
from watchkeeper.console.dialogs.breakers import close_breaker
from watchkeeper.console.dialogs.killing import kill_action, lift_action
from watchkeeper.console.dialogs.reconciling import reconcile
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span
from watchkeeper.console.pane import Pane
from watchkeeper.console.panes.trace import trace_action
from watchkeeper.console.views import needs as view
from watchkeeper.wire.pages import Page
from watchkeeper.wire.plane import Need


class WatchPane(Pane[Need]):
    """Everything that waits for a person, most pressing first; enter goes there."""

    key = "watch"
    title = "Watch"
    columns = (
        Column("left", "LEFT", 7),
        Column("risk", "HARM", 10),
        Column("do", "DO", 6, priority=1),
        Column("matter", "WHAT IS THE MATTER", 60, least=30, grow=1),
        Column("since", "SINCE", 5, priority=2, align="right"),
    )
    empty = "Nothing needs you. The fleet goes on without you; this list fills by itself."
    watched = (
        "request.",
        "vote.",
        "budget.",
        "lock.",
        "receipt.",
        "upstream.",
        "tool.",
        "contract.",
        "policy.",
        "agent.",
        "approvals.",
        "breakglass.",
        "delivery.",
        "handover.",
        "oncall.",
        "decision.denied",
        "runtime.",
        "run.",
        "outcome.reconciled",
    )

    async def fetch(self, after: str | None, limit: int, filter: str) -> Page[Need]:
        """Read what needs a person; the plane ranks, the filter works here."""
        page = await self.desk.client.watch(limit=limit)
        if not filter:
            return page
        wanted = filter.lower()
        rows = tuple(row for row in page.rows if wanted in f"{row.text} {row.todo}".lower())
        return page.model_copy(update={"rows": rows, "total": len(rows)})

    def row_id(self, row: Need) -> str:
        """The need's stable id."""
        return row.need

    def cells(self, row: Need, moment: Moment) -> Mapping[str, Span]:
        """One line."""
        return view.cells(row, moment)

    def subject(self, row: Need) -> str:
        """What is copied: the thing, not the need."""
        return row.subject

    def blocks(self, row: Need, detail: Any, moment: Moment) -> Sequence[Block]:
        """Write it."""
        return view.blocks(row, moment)

    def open(self, row: Need) -> bool:
        """Go to where it can be dealt with."""
        pane, item = view.place_of(row)
        if pane == self.key:
            return False
        self.desk.show(pane, item, detail=item is not None)
        return True

    def caption(self) -> Sequence[Span]:
        """The fleet in one line."""
        status = self.desk.status
        return view.figures(status) if status is not None else ()

    def badge(self) -> str:
        """How many wait."""
        return str(len(self.window)) if len(self.window) else ""

    def actions(self) -> Sequence[Action]:
        """Go and decide, stop or let go."""
        return (
            self._going("approve", "a", "request", "tool"),
            self._going("reject", "x", "request", "tool"),
            self._going("top-up", "plus", "budget"),
            Action(
                id=f"{self.key}.close-breaker",
                title="close breaker",
                keys=("b",),
                group="Decide",
                run=self.close_breaker,
                changes=True,
                needs="lift",
                why_not=self._why_no_breaker,
                pane=self.key,
                explain="Close the circuit breaker that the row is about, with a reason.",
            ),
            Action(
                id=f"{self.key}.settle",
                title="settle outcome",
                keys=("o",),
                group="Decide",
                run=self.settle,
                changes=True,
                needs="lift",
                why_not=self._why_no_outcome,
                pane=self.key,
                explain="Say how an action ended of which nobody knew, and how you know.",
            ),
            trace_action(self),
            kill_action(self),
            lift_action(self),
        )

    async def settle(self) -> None:
        """Ask how the action ended that the row is about."""
        row = self.current
        if row is not None and row.kind == "outcome":
            await reconcile(self.desk, row.subject)

    def _why_no_outcome(self) -> str | None:
        row = self.current
        return None if row is not None and row.kind == "outcome" else "this row is no outcome"

    async def close_breaker(self) -> None:
        """Show the breaker, ask why, and close it."""
        row = self.current
        if row is not None and row.kind == "breaker":
            await close_breaker(self.desk, (await self.desk.client.breaker(row.subject),))

    def _why_no_breaker(self) -> str | None:
        row = self.current
        return None if row is not None and row.kind == "breaker" else "this row is no breaker"

    def _going(self, deed: str, key: str, *kinds: str) -> Action:
        """Return the key of a deed, which opens what it is about: it is pressed again there."""

        def run() -> None:
            if self.current is not None and self.open(self.current):
                self.desk.say(f"read it, then press {key_label(key)} again", seconds=4)

        def why_not() -> str | None:
            row = self.current
            return None if row is not None and row.kind in kinds else f"this row is no {kinds[0]}"

        return Action(
            id=f"{self.key}.{deed}",
            title=deed.replace("-", " "),
            keys=(key,),
            group="Decide",
            run=run,
            why_not=why_not,
            pane=self.key,
            explain=f"Open the {' or the '.join(kinds)}; the same key decides there.",
        )
