"""A console over lists held in memory: real widgets, keys and windows, and no plane."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from watchkeeper.client.api import PlaneClient
from watchkeeper.client.feed import Connection, Events, Item, Resync
from watchkeeper.console.actions import Action
from watchkeeper.console.app import Console
from watchkeeper.console.blocks import Block, Code, Diff, Fact, Prose, Quoted, Title
from watchkeeper.console.columns import Column
from watchkeeper.console.configuration import Configuration
from watchkeeper.console.desk import Desk
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span, risk_span, span
from watchkeeper.console.pane import Pane
from watchkeeper.console.theme import Theme, load_theme
from watchkeeper.core.clock import MICROSECONDS, Clock, RehearsalClock
from watchkeeper.core.errors import Unavailable
from watchkeeper.wire.base import Shown
from watchkeeper.wire.pages import Page
from watchkeeper.wire.plane import EventRow, Me, Status

START = 1_795_000_000 * MICROSECONDS
RISKS = ("critical", "high", "medium", "low")
AGENTS = ("refund-assistant", "contract-summary", "cloud-operations", "fraud-detection")


class Item_(Shown):
    """A row of the list in memory."""

    id: str
    due_at: int
    risk: str = "low"
    agent: str = "refund-assistant"
    asks: str = "refund a charge"
    object: str = ""
    state: str = "level 1 · 0/1"
    words: str = ""


def items(count: int, *, now: int = START) -> list[Item_]:
    """Return `count` rows that differ in everything."""
    return [
        Item_(
            id=f"req_{number:05d}",
            due_at=now + (number * 37 + 20) * MICROSECONDS,
            risk=RISKS[number % 4],
            agent=AGENTS[number % 4],
            asks=f"refund ${number * 3 + 5}.00 of an order that never arrived",
            object=f"charge ch_{8100 + number}",
            state=f"level {1 + number % 2} · 0/{1 + number % 2}",
            words="The customer says the parcel never arrived.",
        )
        for number in range(count)
    ]


class MemoryPlane:
    """Answers pages and a status; `lost` makes it stop answering."""

    def __init__(self, rows: Sequence[Item_], clock: Clock) -> None:
        self.rows = list(rows)
        self.clock = clock
        self.lost = False
        self.reads = 0
        self.decided: list[tuple[str, str, str | None]] = []
        self.waiting = 0
        self.sent: Path | None = None
        """Where a decision leaves its trace outside of this process."""
        self.environment = "staging"
        self.feed: asyncio.Queue[Item] = asyncio.Queue()
        self.sequence = 0

    def check(self) -> None:
        if self.lost:
            raise Unavailable("nothing listens at plane.sock")

    async def status(self) -> Status:
        self.check()
        return Status(
            environment=self.environment, plane="plane-1", version="0.1.0",
            me=Me(person="ada", roles=("finance-ops",), permission="responder", via="socket"),
            now=self.clock.now(), sequence=self.sequence, locks=2, waiting=self.waiting,
            pending=len(self.rows), late=1, spend_hour_micros=41_200_000, agents=9, open_runs=4,
        )  # fmt: skip

    async def page(self, after: str | None, limit: int, filter: str) -> Page[Item_]:
        self.check()
        self.reads += 1
        found = [row for row in self.rows if filter in f"{row.id} {row.agent} {row.asks}"]
        start = 0 if after is None else int(after)
        end = start + limit
        return Page(
            rows=tuple(found[start:end]),
            next=str(end) if end < len(found) else None,
            total=len(found),
        )

    def say(self, type: str = "request.created") -> None:
        """Put an event on the feed."""
        self.sequence += 1
        event = EventRow(
            sequence=self.sequence, at=self.clock.now(), type=type, actor="a", subject="s", text="t"
        )
        self.feed.put_nowait(Events((event,)))

    async def follow(self, client: object, after: int) -> AsyncIterator[Item]:
        yield Connection("live", self.clock.now())
        while True:
            yield await self.feed.get()

    def resync(self) -> None:
        self.feed.put_nowait(Resync(self.sequence))


class QueuePane(Pane[Item_]):
    """Requests in memory."""

    key = "approvals"
    title = "Approvals"
    empty = "Nothing waits for a decision."
    watched = ("request.",)
    columns = (
        Column("left", "LEFT", 8),
        Column("risk", "RISK", 10),
        Column("asks", "ASKS", 34, least=14, grow=3),
        Column("object", "OBJECT", 16, least=10, grow=1, priority=2),
        Column("id", "ID", 12, least=8, priority=5, where="middle"),
        Column("state", "STATE", 14, priority=3),
    )

    def __init__(self, desk: Desk, plane: MemoryPlane) -> None:
        super().__init__(desk)
        self.plane = plane

    async def fetch(self, after: str | None, limit: int, filter: str) -> Page[Item_]:
        return await self.plane.page(after, limit, filter)

    def row_id(self, row: Item_) -> str:
        return row.id

    def cells(self, row: Item_, moment: Moment) -> Mapping[str, Span]:
        return {
            "left": moment.left(row.due_at),
            "risk": risk_span(row.risk),
            "asks": span(f"{row.agent} → {row.asks}"),
            "object": span(row.object),
            "id": span(row.id, "quiet"),
            "state": span(row.state),
        }

    def blocks(self, row: Item_, detail: Any, moment: Moment) -> Sequence[Block]:
        return [
            Title("What will happen"),
            Prose(row.asks, "strong"),
            Fact("object", row.object),
            Fact("asks", row.agent),
            Fact("decide by", moment.left(row.due_at)),
            Title("What changes"),
            Diff([("refunded_usd", "0.00", "4000.00", "measured by the plane")]),
            Title("Arguments, exactly"),
            Code('{"amount_usd":4000,"charge_id":"ch_81"}'),
            Title("In the agent's own words, unchecked"),
            Quoted(f"{row.agent} says", row.words),
        ]

    def actions(self) -> Sequence[Action]:
        return [
            Action("approvals.approve", "approve", self.approve, ("a",), "Decide",
                   "Lets it happen.", "approvals", footer=10, changes=True),
            Action("approvals.reject", "reject", self.reject, ("x",), "Decide",
                   "Refuses it, with a reason.", "approvals", footer=20, changes=True),
            Action("approvals.escalate", "escalate", self.escalate, ("e",), "Decide",
                   "Asks the next role now.", "approvals", footer=30, changes=True,
                   why_not=lambda: "nobody is above this level"),
        ]  # fmt: skip

    async def approve(self) -> None:
        for row in self.chosen():
            self.desk.later(5, row.id, f"approving {row.id}", partial(self.send, row, None))

    async def send(self, row: Item_, reason: str | None) -> None:
        self.plane.check()
        self.plane.decided.append((row.id, "approve", reason))
        if self.plane.sent is not None:
            self.plane.sent.write_text(row.id, encoding="utf-8")
        self.plane.rows = [held for held in self.plane.rows if held.id != row.id]
        self.mark_dirty()

    async def reject(self) -> None:
        from watchkeeper.console.desk import Question

        row = self.current
        assert row is not None
        reply = await self.desk.ask(
            Question("Reject this?", [Prose(row.asks, "strong"), Fact("object", row.object)],
                     confirm="Reject", reason="required")
        )  # fmt: skip
        if reply.confirmed:
            self.plane.decided.append((row.id, "reject", reply.reason))
            self.plane.rows = [held for held in self.plane.rows if held.id != row.id]
            self.desk.say(f"rejected {row.id}", "good")

    def escalate(self) -> None:
        raise AssertionError("it is never allowed")


class FleetPane(QueuePane):
    """A second list."""

    key = "fleet"
    title = "Fleet"
    watched = ("run.",)

    def actions(self) -> Sequence[Action]:
        return []


class MemoryConsole(Console):
    """A console over a `MemoryPlane`."""

    plane: MemoryPlane
    steady: SteadyTime


class SteadyTime:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def memory_console(
    rows: Sequence[Item_],
    state: Path,
    *,
    theme: str | None = "watch-dark",
    configuration: Configuration | None = None,
    steady: SteadyTime | None = None,
    **named: Any,
) -> MemoryConsole:
    """Return a console over rows in memory, with time standing still."""
    clock: Clock = named.pop("clock", None) or RehearsalClock(frozen=True, start=START)
    plane = MemoryPlane(rows, clock)
    ours: Theme | None = None if theme is None else load_theme(theme)[0]
    time = steady or SteadyTime()
    console = MemoryConsole(
        cast(PlaneClient, plane),
        lambda desk: [QueuePane(desk, plane), FleetPane(desk, plane)],
        theme=ours,
        configuration=configuration,
        clock=clock,
        monotonic=named.pop("monotonic", time),
        follow=plane.follow,
        state=state,
        **named,
    )
    console.plane, console.steady = plane, time
    return console
