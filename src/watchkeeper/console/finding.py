"""Finding one's way: panes, rows, filters, commands, the palette, help and themes."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from watchkeeper.console.actions import key_label
from watchkeeper.console.blocks import Block
from watchkeeper.console.chooser import Choice, Chooser
from watchkeeper.console.editor import History
from watchkeeper.console.filters import offered_keys
from watchkeeper.console.guides import guide_blocks, guide_files, help_blocks
from watchkeeper.console.prompt import Prompt
from watchkeeper.console.theme import load_theme, theme_files
from watchkeeper.core.errors import Invalid
from watchkeeper.core.places import config_file

if TYPE_CHECKING:
    from watchkeeper.console.app import Console
    from watchkeeper.console.pane import Pane

FURTHEST_SEEK = 50
"""Pages read to find a row that is not read yet."""
LONGEST_WAY = 20
"""Places that one can go back through."""


class Origin(NamedTuple):
    """Where a person was before they went from one thing to another."""

    pane: str
    row: str | None
    detail: bool


class Finding:
    """Takes a person where they want to be."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._commands = History()
        self._filters = History()
        self._ranging = False
        self._way: list[Origin] = []

    @property
    def pane_titles(self) -> Sequence[tuple[str, str]]:
        """Keys and titles of the panes."""
        return [(pane.key, pane.title) for pane in self._console.panes]

    @property
    def _pane(self) -> Pane[Any]:
        return self._console.pane

    def cursor_moved(self) -> None:
        """Show the cursor's new place, and read on if the end comes near."""
        console, pane = self._console, self._pane
        pane.forget_detail()
        console.pulse.want_detail()
        console.stage.paint_list()
        console.stage.paint_detail()
        console.stage.paint_foot()
        if pane.window.more(max(pane.top + console.stage.list_height, pane.window.cursor)):
            console.pulse.read_on(pane)

    def enter_detail(self) -> None:
        """Show the current row alone; the list holds still, so it stays this row."""
        console = self._console
        console.layer = "detail"
        self._pane.window.hold(True)
        console.pulse.want_detail(0.0)
        console.stage.place_widgets()

    # Filter and command line

    def open_filter(self) -> None:
        """Type a filter; it applies while it is typed."""
        pane = self._pane
        prompt = Prompt(
            "/",
            text=pane.window.filter,
            history=self._filters,
            complete=lambda text: offered_keys(text, pane.filter_keys),
            changed=self._narrow,
        )
        self._open_prompt(prompt)

    def open_command(self) -> None:
        """Type a command."""
        self._open_prompt(Prompt(":", history=self._commands, complete=self._completions))

    def _open_prompt(self, prompt: Prompt) -> None:
        console = self._console
        console.prompt = prompt
        if prompt.sign == ":":
            self._pane.window.hold(True)
        console.stage.paint_foot()

    def prompt_ended(self, prompt: Prompt) -> None:
        """Do what was typed."""
        console = self._console
        console.prompt = None
        console.release()
        if prompt.sign == "/":
            self._narrow(prompt.editor.text if prompt.outcome == "done" else "")
        elif prompt.outcome == "done" and prompt.editor.text.strip():
            self.run_command(prompt.editor.text)
        console.stage.paint()

    def run_command(self, words: str) -> None:
        """Do the action that a command line names."""
        console = self._console
        try:
            action = console.registry.for_command(words, self._pane.key, console.layer)
        except Invalid as error:
            console.say(f"{error.message}: {error.remedy}", "warning")
            return
        console.perform(action)

    def _completions(self, text: str) -> list[str]:
        console = self._console
        names = console.registry.commands(self._pane.key, console.layer)
        wanted = text.strip().lower()
        starts = sorted(name for name in names if name.startswith(wanted))
        short = [name for name in starts if "." not in name]
        return (short or starts) or difflib.get_close_matches(wanted, names, 3, 0.5)

    def _narrow(self, text: str) -> None:
        console, pane = self._console, self._pane
        if text == pane.window.filter:
            return
        pane.window.narrow(text)
        pane.top = 0
        pane.dirty = True
        console.pulse.read_soon()
        console.stage.paint_foot()

    # Finding one's way

    def show_pane(self, key: str) -> None:
        """Go to a pane, for itself: there is no way back but its key."""
        self._way.clear()
        self._turn_to(key)

    def go(
        self, key: str, row: str | None, *, detail: bool = False, filter: str | None = None
    ) -> None:
        """Go from what is under the cursor to another pane; `go_back` returns here."""
        console, pane = self._console, self._pane
        origin = Origin(pane.key, pane.window.current_id, console.layer == "detail")
        self._turn_to(key)
        if self._pane is not pane:
            self._way = [*self._way[1 - LONGEST_WAY :], origin]
        if filter is not None:
            self._narrow(filter)
        self._seek(row, detail)

    def go_back(self) -> bool:
        """Go back to where one came from; tell whether one came from anywhere."""
        if not self._way:
            return False
        origin = self._way.pop()
        self._turn_to(origin.pane)
        self._seek(origin.row, origin.detail)
        return True

    def _seek(self, row: str | None, detail: bool) -> None:
        if row is not None:
            work = self.seek(self._pane, row, detail)
            self._console.run_worker(self._console.guard(work), exit_on_error=True)

    def _turn_to(self, key: str) -> None:
        console = self._console
        wanted = next((pane for pane in console.panes if pane.key == key), None)
        if wanted is None:
            console.say(f"there is no pane {key!r:.30}", "warning")
            return
        self._ranging = False
        changed = wanted is not console.pane or console.layer != "list"
        console.pane.window.hold(False)
        console.pane, console.layer = wanted, "list"
        if changed:
            console.stage.place_widgets()
            console.stage.paint()
        console.pulse.want_detail()
        if wanted.dirty or not wanted.window.loaded:
            console.pulse.read_soon()

    def next_pane(self, step: int) -> None:
        """Go to a neighbouring pane."""
        panes = self._console.panes
        self.show_pane(panes[(panes.index(self._pane) + step) % len(panes)].key)

    async def seek(self, pane: Pane[Any], identity: str, detail: bool) -> None:
        """Put the cursor on a row, reading on until it is found."""
        console = self._console
        if not pane.window.loaded or (pane.dirty and pane.window.place(identity) is None):
            await console.pulse.reload(pane)
        await self._read_up_to(pane, identity)
        if not pane.select(identity) and await pane.turn_to(identity):
            await self._read_up_to(pane, identity)
        if not pane.select(identity):
            console.say("that row is not in this list", "warning")
            return
        if console.pane is pane:
            if detail:
                self.enter_detail()
            self.cursor_moved()

    async def _read_up_to(self, pane: Pane[Any], identity: str) -> None:
        for _ in range(FURTHEST_SEEK):
            if pane.select(identity) or not await pane.read_on(len(pane.window)):
                return

    async def open_palette(self) -> None:
        """Choose from all actions."""
        console = self._console
        choices = [
            Choice(action.id, action.title, console.why_not(action) or action.explain,
                   " ".join(key_label(key) for key in action.keys[:2]),
                   console.why_not(action) is not None)
            for action in console.registry.active(self._pane.key, console.layer)
        ]  # fmt: skip
        chosen = await console.over(Chooser("What to do", choices))
        action = console.registry.get(chosen) if chosen else None
        if action is not None:
            console.perform(action)

    async def open_help(self) -> None:
        """Show all keys."""
        console = self._console
        actions = console.registry.active(self._pane.key, console.layer)
        title = f"Keys in {self._pane.title}"
        await console.view(title, help_blocks(actions, list(guide_files()), console.why_not))

    async def open_guide(self) -> None:
        """Choose a guide and read it."""
        console = self._console
        files = guide_files()
        chosen = await console.over(Chooser("Guides", [Choice(name, name) for name in files]))
        if chosen in files:
            text = files[chosen].read_text(encoding="utf-8", errors="replace")
            blocks: list[Block] = list(guide_blocks(text))
            await console.view(chosen, blocks)

    async def open_theme(self) -> None:
        """Choose a theme and take its colours."""
        console = self._console
        own = (console.configuration.path or config_file()).parent / "themes"
        files = theme_files(own)
        chosen = await console.over(Chooser("Themes", [Choice(name, name) for name in files]))
        if chosen in files:
            theme, complaint = load_theme(chosen, own)
            console.recolour(theme)
            if complaint:
                console.say(complaint, "warning")
