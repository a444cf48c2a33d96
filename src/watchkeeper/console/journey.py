"""What the shell's actions do: moving about the lists, marking, leaving."""

from __future__ import annotations

from collections.abc import Awaitable

from watchkeeper.console.blocks import text_of
from watchkeeper.console.desk import Question
from watchkeeper.console.finding import Finding


class Journey(Finding):
    """Carries out the shell's actions on a console."""

    # Moving

    def move(self, step: int | str) -> None:
        """Move the cursor, or scroll the detail."""
        console = self._console
        if console.layer == "detail":
            console.stage.scroll.move(step)
            console.stage.paint_detail()
            console.stage.paint_foot()
            return
        window = self._pane.window
        page = max(1, console.stage.list_height - 1)
        places = {
            "first": 0, "last": len(window) - 1, "page": window.cursor + page,
            "-page": window.cursor - page, "half": window.cursor + page // 2,
            "-half": window.cursor - page // 2,
        }  # fmt: skip
        before = window.cursor
        moved = window.move_to(window.cursor + step if isinstance(step, int) else places[step])
        if moved and self._ranging:
            low, high = sorted((before, window.cursor))
            window.marks.update(window.ids[low : high + 1])
        self.cursor_moved()

    def step_row(self, step: int) -> None:
        """Go to another row without leaving the detail."""
        console, pane = self._console, self._pane
        if pane.window.move_to(pane.window.cursor + step):
            pane.forget_detail()
            console.pulse.want_detail(0.0)
            console.stage.paint()

    def open_detail(self) -> Awaitable[None] | None:
        """Open the current row; what waits to be sent is sent first."""
        console = self._console
        if console.waiting:
            console.send_waiting()
            return None
        if self._pane.current is None:
            console.say("there is nothing to open", "warning")
            return None
        if console.layer == "list" and self._pane.open(self._pane.current):
            return None
        self.enter_detail()
        return None

    # Layers

    def back(self) -> Awaitable[None] | None:
        """Close one layer, or go back to where one came from; at the root, quit."""
        if self._close_layer() or self.go_back():
            return None
        return self.quit()

    def escape(self) -> None:
        """Close one layer, clear the filter, or go back to where one came from."""
        if self._close_layer():
            return
        if self._pane.window.filter:
            self._narrow("")
        else:
            self.go_back()

    def _close_layer(self) -> bool:
        console = self._console
        if console.layer != "detail":
            return False
        console.layer = "list"
        console.release()
        console.stage.place_widgets()
        return True

    async def quit(self) -> None:
        """Leave; ask first if something is not sent yet."""
        console = self._console
        if console.waiting:
            count = len(console.waiting)
            question = Question(
                title="Leave without sending?",
                body=(),
                confirm="Leave, send nothing",
                cancel="Stay",
                danger=True,
                live=None,
            )
            console.say(f"{count} decision{'s' * (count > 1)} not sent yet", "warning")
            if not (await console.ask(question)).confirmed:
                return
        console.leave(0)

    def suspend(self) -> None:
        """Go to the background."""
        self._console.action_suspend_process()

    # Marks

    def toggle_mark(self) -> None:
        """Mark the current row and move on."""
        window = self._pane.window
        if window.current_id is not None:
            window.toggle(window.current_id)
            window.move_to(window.cursor + 1)
            self.cursor_moved()

    def toggle_range(self) -> None:
        """Begin or end marking while moving."""
        self._ranging = not self._ranging
        window = self._pane.window
        if self._ranging and window.current_id is not None:
            window.marks.add(window.current_id)
        self._console.say("marking while moving: v ends it" if self._ranging else "range ended")
        self._console.stage.paint()

    def mark_all(self) -> None:
        """Mark every row read."""
        window = self._pane.window
        window.mark_all()
        if not window.complete:
            self._console.say(f"marked the {len(window)} rows read so far", "warning")
        self._console.stage.paint()

    def mark_and_move(self, step: int) -> None:
        """Mark the current row and the one moved to."""
        window = self._pane.window
        if window.current_id is not None:
            before = window.current_id
            window.move_to(window.cursor + step)
            window.marks.update({before, window.current_id})
            self.cursor_moved()

    def undo(self) -> None:
        """Take back what waits; else clear the marks."""
        console = self._console
        self._ranging = False
        taken = console.waiting.undo()
        if taken is not None:
            console.say(f"taken back: {taken.words}; nothing was sent", "good")
            console.mark_dirty(self._pane.key)
        else:
            self._pane.window.unmark()
        console.stage.paint()

    # View

    def copy_subject(self) -> None:
        """Copy the id of the current row."""
        row = self._pane.current
        if row is None:
            self._console.say("there is nothing to copy", "warning")
        else:
            self._console.copy(self._pane.subject(row))

    def copy_detail(self) -> None:
        """Copy the detail as text."""
        self._console.copy(text_of(self._console.stage.detail_rows))

    def toggle_pause(self) -> None:
        """Stop refreshing, or go on."""
        console = self._console
        plan = console.refresh_plan
        plan.paused = not plan.paused
        if not plan.paused:
            console.mark_dirty()
            console.pulse.read_soon()
        console.stage.paint_frame()

    def toggle_absolute(self) -> None:
        """Show clock times, or ages."""
        self._console.absolute = not self._console.absolute
        self._console.stage.paint()

    def refresh_now(self) -> None:
        """Read again at once."""
        self._console.mark_dirty()
        self._console.pulse.read_soon()

    def redraw(self) -> None:
        """Paint everything anew."""
        self._console.refresh(layout=True, repaint=True)
        self._console.stage.refresh(layout=True, repaint=True)
