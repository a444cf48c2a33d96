"""The line at the foot where a filter or a command is typed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from watchkeeper.console.blocks import Row
from watchkeeper.console.editor import Editor, History
from watchkeeper.console.painting import span

Outcome = Literal["open", "done", "cancelled"]


class Prompt:
    """One line to type, with completion and history."""

    def __init__(
        self,
        sign: str,
        *,
        text: str = "",
        history: History | None = None,
        complete: Callable[[str], Sequence[str]] = lambda text: (),
        changed: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.sign = sign
        self.editor = Editor(text)
        self.outcome: Outcome = "open"
        self._history = history or History()
        self._complete = complete
        self._changed = changed
        self._offered: list[str] = []

    def take_key(self, key: str, character: str | None) -> None:
        """Type, complete, walk the history, or end it."""
        before = self.editor.text
        if key == "escape" or (key == "backspace" and not self.editor.text):
            self.outcome = "cancelled"
        elif key == "enter":
            self._history.add(self.editor.text)
            self.outcome = "done"
        elif key in ("up", "down"):
            self.editor.set(self._history.walk(-1 if key == "up" else 1))
        elif key in ("tab", "shift+tab"):
            self._offer(1 if key == "tab" else -1)
            return
        else:
            self.editor.take_key(key, character)
        self._offered = []
        if self.editor.text != before:
            self._changed(self.editor.text)

    def take_paste(self, text: str) -> None:
        """Type the first pasted line."""
        self.editor.insert(text.split("\n", 1)[0])
        self._changed(self.editor.text)

    def row(self, width: int) -> Row:
        """Draw it, with what it could become."""
        offers = [name for name in self._complete(self.editor.text) if name != self.editor.text]
        hint = "  ".join(offers[:6]) if self.editor.text else ""
        room = max(8, width - 2 - (min(len(hint), width // 2) + 2 if hint else 0))
        return (
            span(self.sign, "accent"),
            *self.editor.spans(room),
            span(f"  {hint}" if hint else "", "quiet"),
        )

    def _offer(self, step: int) -> None:
        if not self._offered or self.editor.text not in self._offered:
            self._offered = list(self._complete(self.editor.text))
            if self._offered:
                self.editor.set(self._offered[0 if step > 0 else -1])
                self._changed(self.editor.text)
            return
        place = (self._offered.index(self.editor.text) + step) % len(self._offered)
        self.editor.set(self._offered[place])
        self._changed(self.editor.text)
