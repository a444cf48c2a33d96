"""The palette: type a few letters, see what matches, press enter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from watchkeeper.console.blocks import Row
from watchkeeper.console.editor import Editor
from watchkeeper.console.overlay import Frame, Overlay, boxed
from watchkeeper.console.painting import Span, spaces, span
from watchkeeper.core.text import cell_width, cut, fit, make_safe

WIDEST = 70


@dataclass(frozen=True)
class Choice:
    """Something to choose: its name, a note beside it, and a key that does the same."""

    key: str
    title: str
    note: str = ""
    hint: str = ""
    dim: bool = False


def rank(text: str, choices: Sequence[Choice]) -> list[Choice]:
    """Return the choices that hold all letters of `text` in order, the closest first."""
    wanted = text.lower().strip()
    if not wanted:
        return list(choices)
    scored = []
    for place, choice in enumerate(choices):
        title = f"{choice.title} {choice.key}".lower()
        at = title.find(wanted)
        if at >= 0:
            word_start = at == 0 or not title[at - 1].isalnum()
            scored.append((0 if word_start else 1, at, place, choice))
        elif wanted in choice.note.lower():
            scored.append((2, 0, place, choice))
        elif _in_order(wanted, title):
            scored.append((3, 0, place, choice))
    return [choice for *_, choice in sorted(scored, key=lambda entry: entry[:3])]


def _in_order(wanted: str, title: str) -> bool:
    letters = iter(title)
    return all(letter in letters for letter in wanted if letter != " ")


class Chooser(Overlay[str | None]):
    """Answers the key of what was chosen, or None."""

    def __init__(self, title: str, choices: Sequence[Choice]) -> None:
        super().__init__()
        self.title = title
        self.editor = Editor()
        self._choices = choices
        self.place = 0

    @property
    def found(self) -> list[Choice]:
        """What matches now."""
        return rank(self.editor.text, self._choices)

    def take_key(self, key: str, character: str | None, now: float) -> None:
        """Type, move, choose or leave."""
        found = self.found
        if key == "escape" or (key == "backspace" and not self.editor.text):
            self.finish(None)
        elif key == "enter":
            self.finish(found[self.place].key if found else None)
        elif key in ("down", "tab", "ctrl+n"):
            self.place = min(self.place + 1, max(0, len(found) - 1))
        elif key in ("up", "shift+tab", "ctrl+p"):
            self.place = max(0, self.place - 1)
        elif self.editor.take_key(key, character):
            self.place = 0

    def take_paste(self, text: str, now: float) -> None:
        """Type the first line."""
        self.editor.insert(text.split("\n", 1)[0])

    def frame(self, width: int, height: int) -> Frame:
        """Draw itself at the top middle."""
        wide = max(20, min(WIDEST, width - 4))
        inner, room = wide - 4, max(3, min(16, height - 6))
        rows: list[Row] = [(span("> ", "accent"), *self.editor.spans(inner - 2)), ()]
        found = self.found
        first = max(0, self.place - room + 1)
        for index in range(first, first + room):
            rows.append(self._row(found, index, inner) if index < len(found) else ())
        if not found:
            rows[2] = (span("  nothing matches", "quiet"),)
        lines = boxed(self.title, rows, wide, "enter choose  esc close")
        x, y = (width - wide) // 2, 1
        return Frame(x, y, wide, lines, (x + 4 + self.editor.caret_cell(inner - 2), y + 1))

    def _row(self, found: Sequence[Choice], index: int, inner: int) -> Row:
        choice, here = found[index], index == self.place
        hint = make_safe(choice.hint)
        room = inner - 2 - cell_width(hint) - 1
        title = cut(make_safe(choice.title), min(room, 30))
        note_room = room - cell_width(title) - 2
        note = cut(make_safe(choice.note), note_room) if note_room > 8 else make_safe("")
        return (
            span("▸ " if here else "  ", "accent"),
            Span(title, "quiet" if choice.dim else "strong" if here else "text"),
            spaces(2),
            Span(fit(note, max(0, note_room)), "quiet"),
            span(" "),
            Span(hint, "key"),
        )
