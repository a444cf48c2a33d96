"""One line that a person types, with the keys that every shell has."""

from __future__ import annotations

from collections.abc import Sequence

from watchkeeper.console.painting import Span, Token, span
from watchkeeper.core.text import cell_width, cut, make_safe

LONGEST_LINE = 4000
CARET = "▏"


class Editor:
    """Text with a caret. Keys it does not know are left to others."""

    def __init__(self, text: str = "") -> None:
        self.text = ""
        self.caret = 0
        self.insert(text)

    def set(self, text: str) -> None:
        """Replace everything; the caret goes to the end."""
        self.text, self.caret = "", 0
        self.insert(text)

    def insert(self, text: str) -> None:
        """Put text at the caret; controls and line ends never enter a line."""
        clean = "".join(letter for letter in text if letter.isprintable())
        clean = clean[: max(0, LONGEST_LINE - len(self.text))]
        self.text = self.text[: self.caret] + clean + self.text[self.caret :]
        self.caret += len(clean)

    def take_key(self, key: str, character: str | None) -> bool:
        """Change the line by a key; tell whether the key meant anything here."""
        match key:
            case "left" | "ctrl+left":
                self.caret = max(0, self.caret - 1) if key == "left" else self._word_start()
            case "right":
                self.caret = min(len(self.text), self.caret + 1)
            case "home":
                self.caret = 0
            case "end" | "ctrl+e":
                self.caret = len(self.text)
            case "backspace" | "ctrl+h":
                if self.caret:
                    self._drop(self.caret - 1, self.caret)
            case "delete":
                self._drop(self.caret, self.caret + 1)
            case "ctrl+w":
                self._drop(self._word_start(), self.caret)
            case "ctrl+u":
                self._drop(0, self.caret)
            case "ctrl+k":
                self._drop(self.caret, len(self.text))
            case _:
                if character is None or not character.isprintable():
                    return False
                self.insert(character)
        return True

    def spans(self, cells: int, *, focused: bool = True, token: Token = "strong") -> list[Span]:
        """Draw the part of the line around the caret in at most `cells` cells."""
        if not focused:
            return [Span(cut(make_safe(self.text), cells), "text")]
        before, after = make_safe(self.text[: self.caret]), make_safe(self.text[self.caret :])
        room = max(1, cells - 1)
        while cell_width(before) > room:
            before = make_safe(before[1:])
        rest = cut(after, room - cell_width(before))
        return [Span(before, token), span(CARET, "accent"), Span(rest, token)]

    def caret_cell(self, cells: int) -> int:
        """Return in which cell of what `spans` draws the caret stands."""
        return min(cell_width(make_safe(self.text[: self.caret])), max(0, cells - 1))

    def _drop(self, start: int, end: int) -> None:
        self.text = self.text[:start] + self.text[end:]
        self.caret = start

    def _word_start(self) -> int:
        head = self.text[: self.caret].rstrip()
        return head.rfind(" ") + 1


class History:
    """Lines typed before, newest last, walked with up and down."""

    def __init__(self, most: int = 100) -> None:
        self._lines: list[str] = []
        self._most = most
        self._place = 0

    def add(self, line: str) -> None:
        """Remember a line; a repeated one moves to the end."""
        if line:
            self._lines = [*(old for old in self._lines if old != line), line][-self._most :]
        self._place = len(self._lines)

    def walk(self, step: int) -> str:
        """Return the line `step` further; an empty one beyond the newest."""
        self._place = max(0, min(self._place + step, len(self._lines)))
        return self._lines[self._place] if self._place < len(self._lines) else ""

    def walk_round(self) -> str:
        """Return the next older line; after the oldest the newest again."""
        if self._place == 0:
            self._place = len(self._lines)
        return self.walk(-1)

    @property
    def lines(self) -> Sequence[str]:
        """All lines, oldest first."""
        return self._lines
