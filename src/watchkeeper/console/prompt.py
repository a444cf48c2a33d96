"""The line at the foot where a filter or a command is typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from watchkeeper.console.blocks import Row
from watchkeeper.console.completion import Complete, Completion
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
        complete: Complete = lambda text: (),
        changed: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.sign = sign
        self.editor = Editor(text)
        self.outcome: Outcome = "open"
        self._history = history or History()
        self._completion = Completion(complete)
        self._changed = changed

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
            if self._completion.offer(self.editor, 1 if key == "tab" else -1):
                self._changed(self.editor.text)
            return
        else:
            self.editor.take_key(key, character)
        self._completion.forget()
        if self.editor.text != before:
            self._changed(self.editor.text)

    def take_paste(self, text: str) -> None:
        """Type the first pasted line."""
        self.editor.insert(text.split("\n", 1)[0])
        self._changed(self.editor.text)

    def row(self, width: int) -> Row:
        """Draw it, with what it could become."""
        typed = self.editor.text
        offers = [name for name in self._completion.complete(typed) if name != typed]
        offers = [offer[offer.rfind(" ") + 1 :] for offer in offers]
        hint = "  ".join(offers[:6]) if typed or self.sign == "/" else ""
        room = max(8, width - 2 - (min(len(hint), width // 2) + 2 if hint else 0))
        return (
            span(self.sign, "accent"),
            *self.editor.spans(room),
            span(f"  {hint}" if hint else "", "quiet"),
        )
