"""Trace: what happened in one run, each step below what caused it, as it happens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from watchkeeper.console.actions import Action
from watchkeeper.console.blocks import Block
from watchkeeper.console.columns import Column
from watchkeeper.console.desk import Desk
from watchkeeper.console.dialogs import asking
from watchkeeper.console.dialogs.exporting import evidence_action
from watchkeeper.console.dialogs.killing import kill_action
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span
from watchkeeper.console.pane import Pane
from watchkeeper.console.panes.one_run import OneRunPane
from watchkeeper.console.views import waterfall as view
from watchkeeper.console.words import id_text
from watchkeeper.core.errors import NotFound
from watchkeeper.wire.pages import Page
from watchkeeper.wire.plane import EventRow, Need
from watchkeeper.wire.traces import SpanRow


class TracePane(OneRunPane[SpanRow]):
    """The waterfall of one run; live while it goes on."""

    key = "trace"
    title = "Trace"
    columns = (
        Column("at", "AT", 7, align="right"),
        Column("bar", "WHEN", view.BAR),
        Column("took", "TOOK", 6, align="right", priority=1),
        Column("step", "STEP", 44, least=22, grow=3),
        Column("how", "HOW", 11),
        Column("cost", "COST", 7, align="right", priority=2),
        Column("tokens", "TOKENS", 6, align="right", priority=5),
        Column("why", "WHY", 34, least=16, grow=1, priority=4),
    )
    page_size = 200

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._time = view.Time()

    async def fetch(self, after: str | None, limit: int, filter: str) -> Page[SpanRow]:
        """Read a page of the run's steps; the filter works here."""
        run = self.known_run()
        if run is None:
            return Page[SpanRow](rows=())
        try:
            found = await self.desk.client.trace(run, after=after, limit=limit)
        except NotFound:
            self.empty = self.no_such_run()
            return Page[SpanRow](rows=())
        self._time = (view.Time() if after is None else self._time).with_rows(found.rows)
        self.empty = (
            f"Nothing of run {id_text(run)} is kept any more; l shows its entries in the ledger."
        )
        rows = found.rows
        if filter:
            rows = tuple(row for row in rows if view.matches(row, filter))
        return Page[SpanRow](rows=rows, next=found.next, sequence=found.sequence)

    def row_id(self, row: SpanRow) -> str:
        """The run and the step."""
        return f"{row.run}:{row.key}"

    def subject(self, row: SpanRow) -> str:
        """What is copied: the step's id."""
        return row.key

    def cells(self, row: SpanRow, moment: Moment) -> Mapping[str, Span]:
        """One line."""
        return view.cells(row, self._time, moment)

    async def fetch_detail(self, row: SpanRow) -> view.StepFile:
        """Read what went in and came out, as far as it is kept."""
        client = self.desk.client
        if row.kind == "run" and row.run is not None:
            return view.StepFile(run=await client.run(row.run))
        if row.kind != "action" or row.verdict != "permit":
            return view.StepFile()
        try:
            return view.StepFile(await client.contents(row.key))
        except NotFound as error:
            return view.StepFile(no_contents=str(error.message))

    def blocks(self, row: SpanRow, detail: Any, moment: Moment) -> Sequence[Block]:
        """Write the step."""
        return view.blocks(row, detail if isinstance(detail, view.StepFile) else None, moment)

    def caption(self) -> Sequence[Span]:
        """What the run is."""
        top = self.window.find(f"{self.run}:{self.run}")
        return () if top is None else view.headline(top, self.desk.moment())

    def actions(self) -> Sequence[Action]:
        """Go where a step leads; ask what it rested on."""
        return (
            Action("trace.trouble", "next trouble", self.next_trouble, ("n",), "Look",
                   "Go to the next step that was refused, held or failed.", self.key,
                   layers=("list",), footer=10),
            Action("trace.steps", "steps", self.show_steps, ("s",), "Look",
                   "Go through the run step by step, and decide it again under other rules.",
                   self.key, footer=11, why_not=self.why_no_run),
            Action("trace.request", "request", self.show_request, ("o",), "Look",
                   "Go to the request for approval that it waits or ran under.", self.key,
                   footer=60, why_not=self._why_no_request),
            Action("trace.entry", "entry", self.show_entry, ("e",), "Look",
                   "Go to the entry of the ledger that it begins with.", self.key,
                   footer=61, why_not=self._why_no_entry),
            Action("trace.ledger", "ledger", self.show_ledger, ("l",), "Look",
                   "All entries of the ledger about this run.", self.key,
                   why_not=self.why_no_run),
            Action("trace.run", "run", self.show_run, ("R",), "Look",
                   "The run itself, in Runs.", self.key, why_not=self.why_no_run),
            Action("trace.basis", "rested on", self.show_basis, ("b",), "Look",
                   "What this step, or the whole run, rested on.", self.key, footer=62,
                   why_not=self.why_nothing),
            evidence_action(self),
            kill_action(self),
        )  # fmt: skip

    def next_trouble(self) -> None:
        """Go to the next step that somebody should look at; after the last one, to the first."""
        rows, here = self.rows, self.window.cursor
        order = [*range(here + 1, len(rows)), *range(min(here + 1, len(rows)))]
        place = next((index for index in order if view.troubled(rows[index])), None)
        if place is None:
            self.desk.say("nothing was refused, held or failed among what is read")
        else:
            self.desk.show(self.key, self.row_id(rows[place]))

    def show_steps(self) -> None:
        """Go through the run step by step, from this step or from its beginning."""
        row = self.current
        if row is not None and row.kind == "action" and row.source == "plane":
            self.desk.show("replay", f"{self.run}:{row.key}")
        else:
            self.desk.show("replay", f"{self.run}:")

    def show_request(self) -> None:
        """Go to the request."""
        if self.current is not None and self.current.request is not None:
            self.desk.show("approvals", self.current.request, detail=True)

    def show_entry(self) -> None:
        """Go to the entry, among those of the run."""
        if self.current is not None and self.current.sequence is not None:
            self.desk.show(
                "ledger", str(self.current.sequence), detail=True, filter=f"run:{self.run}"
            )

    def show_ledger(self) -> None:
        """Go to the run's entries."""
        self.desk.show("ledger", filter=f"run:{self.run}")

    def show_basis(self) -> None:
        """Say what it rested on."""
        if self.current is not None:
            asking.show(self.desk, "rested-on", key=self.current.key)

    def _why_no_request(self) -> str | None:
        if self.current is not None and self.current.request is not None:
            return None
        return "no approval was asked for"

    def _why_no_entry(self) -> str | None:
        if self.current is not None and self.current.sequence is not None:
            return None
        return "the ledger has no entry of it: the agent's telemetry tells of it"


def trace_action(pane: Pane[Any]) -> Action:
    """Return the key that opens the trace of what the cursor is on, at its step."""

    def run() -> None:
        found = step_of(pane.current)
        if found is not None:
            pane.desk.show("trace", found)

    return Action(
        id=f"{pane.key}.trace",
        title="trace",
        keys=("T",),
        group="Look",
        run=run,
        pane=pane.key,
        explain="Go to this step in the trace of its run.",
        why_not=lambda: None if step_of(pane.current) else "it belongs to no run",
    )


def step_of(row: Any) -> str | None:
    """Return `RUN:STEP` of an entry of the ledger, a request or a need; None where no run is known.

    A need for a decision leads to its request first, where somebody should look before all else.
    """
    if isinstance(row, Need):
        of = row.subject.removeprefix("run/").partition("/")[0]
        return f"{of}:{of}" if row.kind in ("budget", "run") and of.startswith("run_") else None
    run = getattr(row, "run", None)
    if not isinstance(run, str) or not run.startswith("run_"):
        return None
    if isinstance(row, EventRow):
        kind, _, name = row.subject.partition("/")
        step = name if kind == "decision" else row.request or run
        return f"{run}:{step}"
    return f"{run}:{getattr(row, 'request', None) or run}"
