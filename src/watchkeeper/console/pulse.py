"""What keeps the console going: when it reads, when it repaints, what it hears of the plane."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from watchkeeper.console.dialog import Dialog
from watchkeeper.console.overlay import TextView
from watchkeeper.console.terminal import ConsoleDriver
from watchkeeper.core.errors import Invalid, WatchkeeperError
from watchkeeper.wire.plane import EventRow

if TYPE_CHECKING:
    from watchkeeper.console.app import Console
    from watchkeeper.console.pane import Pane

TICK_SECONDS = 0.25
FIRST_STATUS_SECONDS = 1.0
RESTING_SECONDS = 0.15
"""How long the cursor stays before the detail of its row is read."""
SURPRISE_SECONDS = 0.7
"""How long nothing is sent after the row under the cursor was replaced by another."""


class Pulse:
    """Reads and repaints for a console, never two things of a kind at once."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._running: set[str] = set()
        self._again: set[str] = set()
        self._detail_at: float | None = None
        self._waiting_before: int | None = None
        self._moved_at = float("-inf")

    # Time

    def tick(self) -> None:
        """Do what is due: send what waited, read what changed, let the clock tick."""
        console = self._console
        now = console.monotonic()
        for waiting in console.waiting.due(now):
            console.send(waiting)
        if not console.ready:
            return
        if self._detail_at is not None and now >= self._detail_at:
            self._detail_at = None
            self._start("detail", self._read_detail())
        plan = console.refresh_plan
        if not plan.paused and plan.due(now):
            self._refresh(now)
        faded = console.message is not None and now >= console.message_until
        if faded:
            console.message = None
        if not self.behind() and plan.clock_due(now):
            self._tick_overlays()
            console.stage.paint()
            self._ask_echo(now)
        elif faded or console.waiting:
            console.stage.paint_foot()

    def _refresh(self, now: float) -> None:
        console = self._console
        if console.link.status_due(now):
            self._start("status", self.read_status())
        if console.pane.dirty and console.offline is None:
            self.read_soon()

    async def begin(self) -> None:
        """Read the status, then follow the feed until the console ends."""
        while True:
            await self.read_status()
            if self._console.status is not None:
                break
            await asyncio.sleep(FIRST_STATUS_SECONDS)
        self.tick()
        await self._console.link.follow()

    async def read_status(self) -> None:
        """Read what the header shows."""
        console = self._console
        await console.link.read_status(console.monotonic())
        status = console.status
        if status is not None:
            name = f"({status.waiting}) Watchkeeper" if status.waiting else "Watchkeeper"
            console.outside.set_title(name)
            self._call(status.waiting)
        console.stage.paint_frame()

    def _call(self, waiting: int) -> None:
        """Call for what is new; what came too soon after another call is called for later."""
        outside, before = self._console.outside, self._waiting_before
        new = before is not None and waiting > before
        what = "approval waits" if waiting == 1 else "approvals wait"
        if not new or outside.call(f"{waiting} {what} for you") or outside.quiet:
            self._waiting_before = waiting

    # Lists and details

    def read_soon(self) -> None:
        """Read the list in front now; if it is being read, once more after that."""
        pane = self._console.pane
        if f"list {pane.key}" in self._running:
            self._again.add(pane.key)
        else:
            self._start(f"list {pane.key}", self._read_list(pane))

    async def _read_list(self, pane: Pane[Any]) -> None:
        await self.reload(pane)
        while pane.key in self._again:
            self._again.discard(pane.key)
            await self.reload(pane)

    async def reload(self, pane: Pane[Any]) -> None:
        """Read a pane's list again and show it, keeping the cursor on its line."""
        console = self._console
        line = pane.window.cursor - pane.top
        try:
            await pane.reload(console.stage.list_height)
        except Invalid as error:
            pane.refuse(str(error))
        except WatchkeeperError as error:
            pane.dirty = True
            pane.failure = str(error)
            console.refresh_plan.failed()
        else:
            pane.failure = None
            console.refresh_plan.succeeded(console.monotonic())
        if pane.top > 0:
            pane.top = max(0, pane.window.cursor - line)
        if pane is not console.pane:
            return
        self.told_of_loss(pane)
        pane.forget_detail()
        self.want_detail(0.0)
        console.stage.paint()
        self._ask_echo(console.monotonic())

    def told_of_loss(self, pane: Pane[Any]) -> None:
        """Say that the row under the cursor is gone, and take no decision for a moment."""
        console = self._console
        notice, pane.window.notice = pane.window.notice, None
        if notice is None:
            return
        self._moved_at = console.monotonic()
        if console.message is None:
            console.say(notice, "warning")  # what a person did just now explains it already

    @property
    def just_moved(self) -> bool:
        """Whether the cursor came to another row by itself a moment ago."""
        return self._console.monotonic() - self._moved_at < SURPRISE_SECONDS

    def read_on(self, pane: Pane[Any]) -> None:
        """Read the page that follows."""
        self._start(f"more {pane.key}", self._read_on(pane))

    async def _read_on(self, pane: Pane[Any]) -> None:
        console = self._console
        try:
            await pane.read_on(console.stage.list_height)
        except WatchkeeperError as error:
            console.say(error, "critical")
        console.stage.paint()

    def want_detail(self, after: float = RESTING_SECONDS) -> None:
        """Have the detail of the current row read once the cursor rests."""
        console = self._console
        if console.pane.window.current_id is not None and console.stage.detail_visible:
            self._detail_at = console.monotonic() + after

    async def _read_detail(self) -> None:
        console = self._console
        pane = console.pane
        try:
            await pane.read_detail()
        except WatchkeeperError as error:
            console.say(error, "critical")
        else:
            if pane.current is not None and not pane.detail_known:
                self.want_detail(0.0)  # the cursor moved on while it was read
        if pane is console.pane:
            console.stage.paint_detail()
            console.stage.paint_foot()

    def _tick_overlays(self) -> None:
        for overlay, _ in self._console.stage.overlays:
            if isinstance(overlay, Dialog) and overlay.question.live is not None:
                self._start(f"live {id(overlay)}", self._read_live(overlay))
            elif isinstance(overlay, TextView):
                self._console.stage.paint_overlays()

    async def _read_live(self, dialog: Dialog) -> None:
        live = dialog.question.live
        try:
            if live is not None:
                dialog.body = await live()
        except WatchkeeperError as error:
            dialog.problem = str(error)
        self._console.stage.paint_overlays()

    # What the plane says

    def on_events(self, found: Sequence[EventRow]) -> None:
        """Hear what happened; the next refresh reads what it changed."""
        for pane in self._console.panes:
            pane.on_events(found)

    def on_everything(self) -> None:
        """Have everything read again."""
        self._console.mark_dirty()

    def on_lost(self, words: str) -> None:
        """Say once that the plane is lost."""
        self._console.say(words, "critical", seconds=12)
        self._console.stage.paint_frame()

    def on_found(self) -> None:
        """Say that it is back, and read everything again."""
        self._console.say("the plane answers again", "good")
        self._console.mark_dirty()

    # One thing of a kind at a time

    def _start(self, kind: str, work: Coroutine[Any, Any, None]) -> None:
        if kind in self._running:
            work.close()
            return
        self._running.add(kind)
        self._console.run_worker(self._run(kind, work), exit_on_error=True)

    async def _run(self, kind: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        finally:
            self._running.discard(kind)

    # A terminal that has not caught up

    def behind(self) -> bool:
        """Whether the terminal has not yet taken what was written."""
        driver = self._console._driver
        return isinstance(driver, ConsoleDriver) and driver.behind(self._console.monotonic())

    def _ask_echo(self, now: float) -> None:
        driver = self._console._driver
        if isinstance(driver, ConsoleDriver):
            self._console.call_after_refresh(driver.ask_echo, now)
