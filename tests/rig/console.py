"""The console in a real terminal, used as a person uses it: look, choose, press, read.

    console.pane("Approvals").select("charge ch_81").press("a")
    console.dialog("Approve this?").write("Type", "ch_81").confirm("Approve")
    console.expect("approved: create refund")

Every step waits until the screen shows that it took effect; every failure shows the screen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self, TypeVar

from tests.rig.deadline import PATIENCE_SECONDS, eventually, stays
from tests.rig.tmux import Tmux

T = TypeVar("T")
PROMPT = "shell> "
CURSOR = "▸ "
TABS, TABS_RULE = 1, 2
"""Lines of the panes' names, and of the rule that is heavy under the one in front."""
STEP_SECONDS = 2.0
"""How long the screen may take to answer one key; then the driver looks again and goes on."""
STANDS_SECONDS = 0.4
"""How long a dialog must stand before it is typed into; it takes no keys when it is new."""


class ConsoleDriver:
    """One console in one terminal."""

    def __init__(self, terminal: Tmux) -> None:
        self.terminal = terminal

    @classmethod
    def start(cls, terminal: Tmux, line: str, *, env: Mapping[str, str], cwd: Path) -> Self:
        """Type a line that opens the console into a shell in a new terminal."""
        terminal.start(["sh"], env={**env, "PS1": PROMPT, "ENV": ""}, cwd=cwd)
        terminal.wait_for(PROMPT.strip())
        return cls(terminal).type_line(line)

    def type_line(self, line: str) -> Self:
        """Type a line into the shell."""
        return self.press(line, "Enter")

    @property
    def screen(self) -> str:
        """The text on the screen."""
        return self.terminal.screen

    # Looking

    def expect(self, *texts: str, seconds: float = PATIENCE_SECONDS) -> Self:
        """Wait until the screen shows all of `texts` at once."""
        self.terminal.wait_for(*texts, seconds=seconds)
        return self

    def expect_no(self, text: str, *, seconds: float = PATIENCE_SECONDS) -> Self:
        """Wait until the screen no longer shows `text`."""
        self.terminal.wait_without(text, seconds=seconds)
        return self

    def expect_match(self, pattern: str, *, seconds: float = PATIENCE_SECONDS) -> re.Match[str]:
        """Wait until a regular expression matches the screen, and return the match."""
        return self.terminal.wait_match(pattern, seconds=seconds)

    def rows(self) -> list[str]:
        """The lines of the list, without its detail beside it."""
        lines = self.screen.split("\n")[TABS_RULE + 1 : -2]
        return [line.partition("│")[0].rstrip() for line in lines]

    def row(self, *texts: str, seconds: float = PATIENCE_SECONDS) -> str:
        """Wait until one line of the list holds all of `texts`, and return it."""
        return self.until(
            lambda: next((row for row in self.rows() if _holds(row, texts)), None),
            f"a row with {texts!r}",
            seconds=seconds,
        )

    # Moving

    def press(self, *keys: str) -> Self:
        """Press keys."""
        self.terminal.keys(*keys)
        return self

    def pane(self, title: str) -> Self:
        """Go to a pane by the number that stands before its name, which may be cut there."""
        self.press(eventually(lambda: self._number(title), f"a tab for {title}"))
        return self.in_front(title)

    def _number(self, title: str) -> str | None:
        lines = self.screen.split("\n")
        for tab in re.finditer(r" (\d) ([A-Z][a-z]+)", lines[TABS] if len(lines) > TABS else ""):
            if title.startswith(tab[2]):
                return tab[1]
        return None

    def in_front(self, title: str) -> Self:
        """Wait until the pane of this name is the one in front."""
        self.until(lambda: self.front == title, f"{title} is in front")
        return self

    @property
    def front(self) -> str:
        """The name of the pane in front."""
        lines = self.screen.split("\n")
        if len(lines) <= TABS_RULE:
            return ""
        for found in re.finditer(r"\d ([A-Z][a-z]+)", lines[TABS]):
            if lines[TABS_RULE][found.start(1) : found.start(1) + 1] == "━":
                return found[1]
        return ""

    def select(self, *texts: str, seconds: float = PATIENCE_SECONDS) -> Self:
        """Move the cursor, key by key, to the row that holds all of `texts`."""

        def step() -> bool:
            rows = self.rows()
            here = next((n for n, row in enumerate(rows) if row.startswith(CURSOR)), None)
            there = next((n for n, row in enumerate(rows) if _holds(row, texts)), None)
            if here is None or there is None:
                return False
            if here != there:
                self.press(*("j" if there > here else "k") * abs(there - here))
                self._settle(lambda: self.rows()[here].startswith(CURSOR))
            return here == there

        self.until(step, f"the cursor on {texts!r}", seconds=seconds)
        return self

    def open(self) -> Self:
        """Open the row under the cursor."""
        return self.press("Enter").expect("q back")

    def read(self, *texts: str, seconds: float = PATIENCE_SECONDS) -> Self:
        """Page through what is open until each of `texts` has been on the screen."""
        missing = list(texts)

        def look() -> bool:
            screen = self.screen
            missing[:] = [text for text in missing if text not in _joined(screen)]
            if missing:
                lines = re.search(r"(\d+)-(\d+)/(\d+) ─", screen)
                at_end = lines is None or lines[2] == lines[3]
                self.press("g" if at_end else "PageDown")
                self._settle(lambda: self.screen == screen)
            return not missing

        try:
            self.until(look, "all of it was on the screen", seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"never on the screen: {missing!r}\n{error}") from None
        return self

    def filter(self, text: str) -> Self:
        """Narrow the list."""
        return self.press("/", "C-u", text, "Enter").expect(f"filter: {text}")

    def dialog(self, title: str) -> DialogDriver:
        """Wait for a dialog and until it takes keys."""
        dialog = DialogDriver(self, title)
        self.until(lambda: dialog.lines, f"a dialog {title!r}")
        stays(lambda: dialog.lines, f"the dialog {title!r} stands", seconds=STANDS_SECONDS)
        return dialog

    def leave(self, key: str = "C-c") -> int:
        """Leave the console for the shell that it was started from; return its exit code."""
        self.press(key).expect_match(rf"^{PROMPT.strip()}$")
        self.type_line("echo left with $?")
        return int(self.expect_match(r"^left with (\d+)$")[1])

    # Waiting

    def until(
        self, look: Callable[[], T | None], what: str, *, seconds: float = PATIENCE_SECONDS
    ) -> T:
        """Return what `look` finds once it finds something; a failure shows the screen."""
        try:
            return eventually(look, what, seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; it shows:\n{self.screen}") from None

    def _settle(self, same: Callable[[], bool]) -> None:
        """Wait a little for a key to show; where it changes nothing, go on."""
        try:
            eventually(lambda: not same(), seconds=STEP_SECONDS)
        except AssertionError:
            return


class DialogDriver:
    """A dialog over the console, known by its title."""

    def __init__(self, console: ConsoleDriver, title: str) -> None:
        self.console = console
        self.title = title

    @property
    def lines(self) -> list[str]:
        """What stands in the dialog's frame; nothing when it is not there."""
        screen = self.console.screen.split("\n")
        top = next((n for n, line in enumerate(screen) if f"┌─ {self.title} ─" in line), None)
        if top is None:
            return []
        left, right = screen[top].index("┌"), screen[top].rindex("┐")
        inside = [line[left + 1 : right] for line in screen[top + 1 :] if line[left:][:1] == "│"]
        return [line.strip() for line in inside]

    @property
    def text(self) -> str:
        """Its words with single blanks, wherever its lines break."""
        return " ".join(" ".join(self.lines).split())

    @property
    def focus(self) -> str:
        """What stands behind the dialog's own cursor: a line's label or a button."""
        marked = next((line for line in self.lines if CURSOR in line), "")
        return marked.partition(CURSOR)[2]

    def shows(self, *texts: str) -> Self:
        """Wait until it shows all of `texts`, wherever its lines break."""
        wanted = f"the dialog shows {texts!r}"
        self.console.until(lambda: _holds(self.text, texts), wanted)
        return self

    def write(self, label: str, text: str) -> Self:
        """Type into the line with this label."""
        self._go_to(label)
        self.console.press(text)
        self.console.until(lambda: text in self.focus, f"{text!r} in the line {label!r}")
        return self

    def to_end(self) -> Self:
        """Page down until its last line is on the screen."""
        self.console.until(self._is_at_end, f"the end of {self.title!r}")
        return self

    def _is_at_end(self) -> bool:
        frame = [line for line in self.console.screen.split("\n") if "└" in line]
        place = re.search(r"\d+-(\d+)/(\d+)", frame[-1]) if frame else None
        if place is not None and place[1] != place[2]:
            before = self.console.screen
            self.console.press("PageDown")
            self.console._settle(lambda: self.console.screen == before)
            return False
        return bool(self.lines)

    def clear(self, label: str) -> Self:
        """Empty the line with this label."""
        self._go_to(label)
        self.console.press("C-u")
        return self

    def attempt(self, button: str) -> Self:
        """Press a button that must not close the dialog."""
        self._go_to(button)
        self.console.press("Enter")
        return self

    def confirm(self, button: str) -> ConsoleDriver:
        """Press a button, and wait until the dialog is gone."""
        self.attempt(button)
        self.console.expect_no(f"┌─ {self.title} ─")
        return self.console

    def _go_to(self, label: str) -> None:
        def step() -> bool:
            before = self.focus
            if before.startswith(label):
                return True
            self.console.press("Tab")
            self.console._settle(lambda: self.focus == before)
            return False

        self.console.until(step, f"{label!r} has the dialog's focus")


def _holds(text: str, wanted: tuple[str, ...]) -> bool:
    return all(part in text for part in wanted)


def _joined(screen: str) -> str:
    """Return the screen as it is and with its lines joined: long words wrap."""
    return screen + "\n" + re.sub(r"\s*\n\s*", " ", screen)
