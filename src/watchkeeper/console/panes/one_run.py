"""What panes have in common whose list is of one run; a row is named `RUN:STEP`."""

from __future__ import annotations

from collections.abc import Sequence

from watchkeeper.console.desk import Desk
from watchkeeper.console.pane import Pane, Row
from watchkeeper.console.words import id_text
from watchkeeper.wire.plane import EventRow

NO_RUN = "No run is chosen. In Runs (4) enter opens one; in Approvals and Ledger T does."


class OneRunPane(Pane[Row]):
    """A list of one run, read again as things happen in it."""

    empty = NO_RUN

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.run: str | None = None

    def begin(self) -> None:
        """Forget what was known of the run that was shown before."""

    def known_run(self) -> str | None:
        """Return the run to show: the one chosen, else where the person was last time."""
        if self.run is None and self.window.current_id:
            self.run = self.window.current_id.partition(":")[0]
        return self.run

    def on_events(self, events: Sequence[EventRow]) -> None:
        """Read again when something happens in the run."""
        if self.run is not None and any(event.run == self.run for event in events):
            self.dirty = True

    async def turn_to(self, identity: str) -> bool:
        """Show the run that a step is in, from its beginning, without a filter."""
        run = identity.partition(":")[0]
        if run == self.run and not self.window.filter:
            return False
        if run != self.run:
            self.begin()
        self.run = run
        self.clear_marks()
        self.window.narrow("")
        self.window.forget()
        await self.reload()
        self.window.notice = None
        return True

    def show_run(self) -> None:
        """Go to the run, in Runs."""
        self.desk.show("runs", self.run, detail=True)

    def no_such_run(self) -> str:
        """Say that the plane does not know the run."""
        return f"There is no run {id_text(self.run or '')} here. Runs: 4"

    def why_no_run(self) -> str | None:
        """Say why there is no run to go to."""
        return None if self.run is not None else "no run is chosen"

    def why_nothing(self) -> str | None:
        """Say why there is no step to act on."""
        return None if self.current is not None else "no step is chosen"
