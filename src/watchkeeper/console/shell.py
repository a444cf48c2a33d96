"""What can be done everywhere: moving, marking, filtering, finding one's way, leaving."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from watchkeeper.console.actions import HELP_ACTION, Action, Layer
from watchkeeper.console.frame import TABS_WITH_KEYS, tab_key

Run = Callable[[], Awaitable[None] | None]
LIST: tuple[Layer, ...] = ("list",)
DETAIL: tuple[Layer, ...] = ("detail",)


class Shell(Protocol):
    """What these actions ask of the console."""

    @property
    def pane_titles(self) -> Sequence[tuple[str, str]]:
        """Keys and titles of the panes."""
        ...

    def move(self, step: int | str) -> None:
        """Move the cursor, or scroll the detail: by rows, or to first, last, page, half page."""
        ...

    def open_detail(self) -> Awaitable[None] | None:
        """Open the current row, or send what waits."""
        ...

    def step_row(self, step: int) -> None:
        """Go to another row without leaving the detail."""
        ...

    def back(self) -> Awaitable[None] | None:
        """Close one layer; at the root, quit."""
        ...

    def escape(self) -> None:
        """Close one layer; at the root, clear the filter."""
        ...

    def toggle_mark(self) -> None:
        """Mark the current row and move on."""
        ...

    def toggle_range(self) -> None:
        """Begin or end marking while moving."""
        ...

    def mark_all(self) -> None:
        """Mark every row that matches."""
        ...

    def mark_and_move(self, step: int) -> None:
        """Mark the current row and the one moved to."""
        ...

    def undo(self) -> None:
        """Take back what waits; else clear the marks."""
        ...

    def open_filter(self) -> None:
        """Type a filter."""
        ...

    def open_command(self) -> None:
        """Type a command."""
        ...

    def open_palette(self) -> Awaitable[None]:
        """Choose from all actions."""
        ...

    def open_help(self) -> Awaitable[None]:
        """Show all keys."""
        ...

    def open_guide(self) -> Awaitable[None]:
        """Choose a guide and read it."""
        ...

    def open_theme(self) -> Awaitable[None]:
        """Choose a theme."""
        ...

    def show_pane(self, key: str) -> None:
        """Go to a pane."""
        ...

    def next_pane(self, step: int) -> None:
        """Go to a neighbouring pane."""
        ...

    def copy_subject(self) -> None:
        """Copy the id of the current row."""
        ...

    def copy_detail(self) -> None:
        """Copy the detail as text."""
        ...

    def toggle_pause(self) -> None:
        """Stop refreshing, or go on."""
        ...

    def toggle_absolute(self) -> None:
        """Show clock times, or ages."""
        ...

    def refresh_now(self) -> None:
        """Read again at once."""
        ...

    def redraw(self) -> None:
        """Paint everything anew."""
        ...

    def suspend(self) -> None:
        """Go to the background."""
        ...

    def quit(self) -> Awaitable[None]:
        """Leave the console."""
        ...


def shell_actions(shell: Shell) -> list[Action]:
    """Return the actions that every pane has."""
    return [*_moving(shell), *_list(shell), *_views(shell), *_console(shell)]


def _moving(shell: Shell) -> list[Action]:
    def move(step: int | str) -> Run:
        return lambda: shell.move(step)

    def step_row(step: int) -> Run:
        return lambda: shell.step_row(step)

    both = "Moves the cursor; in a detail, scrolls it."
    return [
        Action("move.down", "down", move(1), ("j", "down"), "Move", both),
        Action("move.up", "up", move(-1), ("k", "up"), "Move", both),
        Action("move.first", "first", move("first"), ("g", "home"), "Move"),
        Action("move.last", "last", move("last"), ("G", "end"), "Move"),
        Action("move.page-down", "page down", move("page"), ("pagedown", "ctrl+f"), "Move"),
        Action("move.page-up", "page up", move("-page"), ("pageup", "ctrl+b"), "Move"),
        Action("move.half-down", "half page down", move("half"), ("ctrl+d",), "Move"),
        Action("move.half-up", "half page up", move("-half"), ("ctrl+u",), "Move"),
        Action("move.next", "next", step_row(1), ("J", "right", "right_square_bracket"), "Move",
               "The next row, without leaving its detail.", layers=DETAIL, footer=86),
        Action("move.previous", "previous", step_row(-1), ("K", "left", "left_square_bracket"),
               "Move", "The row before, without leaving its detail.", layers=DETAIL, footer=87),
    ]  # fmt: skip


def _list(shell: Shell) -> list[Action]:
    return [
        Action("list.open", "open", shell.open_detail, ("enter",), "List",
               "Everything about the row; sends at once what waits to be sent.",
               layers=LIST, footer=50),
        Action("list.filter", "filter", shell.open_filter, ("slash",), "List",
               "Enter keeps it, esc clears it.", layers=LIST, footer=45),
        Action("list.mark", "mark", shell.toggle_mark, ("space",), "List",
               "Marks stay through filters and refreshes.", layers=LIST, footer=40),
        Action("list.range", "mark a range", shell.toggle_range, ("v",), "List",
               "Marks every row the cursor passes, until pressed again.", layers=LIST),
        Action("list.mark-down", "mark down", lambda: shell.mark_and_move(1),
               ("J", "shift+down"), "List", "Marks this row and the next.", layers=LIST),
        Action("list.mark-up", "mark up", lambda: shell.mark_and_move(-1),
               ("K", "shift+up"), "List", "Marks this row and the one before.", layers=LIST),
        Action("list.mark-all", "mark all", shell.mark_all, ("asterisk",), "List",
               "Marks all rows that match the filter.", layers=LIST),
        Action("list.undo", "undo", shell.undo, ("u",), "List",
               "Takes back what is not sent yet; else clears the marks."),
    ]  # fmt: skip


def _views(shell: Shell) -> list[Action]:
    def show(key: str) -> Run:
        return lambda: shell.show_pane(key)

    panes = [
        Action(f"pane.{key}", key, show(key),
               (tab_key(number),) if number <= TABS_WITH_KEYS else (), "Panes", f"Shows {title}.")
        for number, (key, title) in enumerate(shell.pane_titles, 1)
    ]  # fmt: skip
    return [
        *panes,
        Action("pane.next", "next pane", lambda: shell.next_pane(1), ("tab",), "Panes"),
        Action("pane.previous", "previous pane", lambda: shell.next_pane(-1), ("shift+tab",),
               "Panes"),
        Action("view.pause", "pause", shell.toggle_pause, ("p",), "View",
               "Stops refreshing; the header then says how old the screen is."),
        Action("view.times", "clock times", shell.toggle_absolute, ("t",), "View",
               "Shows times of day instead of how long ago."),
        Action("view.refresh", "refresh", shell.refresh_now, ("r",), "View", "Reads it all again."),
        Action("view.redraw", "redraw", shell.redraw, ("ctrl+l",), "View",
               "Paints the whole screen anew."),
        Action("view.copy", "copy", shell.copy_subject, ("y",), "View", "Copies the id."),
        Action("view.copy-all", "copy detail", shell.copy_detail, ("Y",), "View",
               "Copies the whole detail as text."),
        Action("view.theme", "theme", shell.open_theme, (), "View", "Other colours."),
    ]  # fmt: skip


def _console(shell: Shell) -> list[Action]:
    return [
        Action(HELP_ACTION, "keys", shell.open_help, ("question_mark",), "Console",
               "This list.", footer=90),
        Action("console.command", "command", shell.open_command, ("colon",), "Console",
               "Tab completes, up and down walk the history.", footer=95),
        Action("console.palette", "palette", shell.open_palette, ("ctrl+p",), "Console",
               "Finds any action by a few letters."),
        Action("console.guide", "guide", shell.open_guide, (), "Console", "Reads a guide."),
        Action("console.back", "back", shell.back, ("q", "backspace"), "Console",
               "Closes one layer; quits when there is none.", footer=85, layers=DETAIL),
        Action("console.leave", "quit", shell.back, ("q",), "Console",
               "Goes back first to where one came from; the plane and the agents go on.",
               layers=LIST),
        Action("console.close", "close", shell.escape, ("escape",), "Console",
               "Closes one layer, clears the filter or goes back; never quits."),
        Action("console.quit", "quit now", shell.quit, ("ctrl+c",), "Console",
               "Asks first if something is not sent yet."),
        Action("console.suspend", "suspend", shell.suspend, ("ctrl+z",), "Console",
               "Back to the shell; fg returns."),
    ]  # fmt: skip
