"""What console widgets draw: safe text with a word for its meaning, and the colours of a theme.

Nothing else reaches the screen. A `Span` refuses text that did not go through the sanitiser,
so a raw string from an agent cannot be drawn by mistake.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from watchkeeper.core.text import EMPTY, Safe, cell_width, cut, make_safe

Token = Literal[
    "text", "quiet", "strong", "accent", "critical", "warning", "good", "key", "rule"
]  # fmt: skip
Ground = Literal["plain", "cursor", "marked", "panel"]
TOKENS: tuple[Token, ...] = get_args(Token)
GROUNDS: tuple[Ground, ...] = get_args(Ground)


class Span(NamedTuple):
    """Safe text and what it means."""

    text: Safe
    token: Token = "text"


NOTHING = Span(EMPTY)


def span(text: object, token: Token = "text", *, limit: int | None = 4096) -> Span:
    """Make anything a span of one line."""
    return Span(make_safe(text, limit=limit), token)


@lru_cache(512)
def spaces(cells: int) -> Span:
    """Return a span of that many blanks."""
    return Span(make_safe(" " * max(0, cells)))


_RISK: Mapping[str, tuple[str, Token]] = {
    "critical": ("! critical", "critical"),
    "high": ("▲ high", "warning"),
    "medium": ("· medium", "text"),
    "low": ("  low", "quiet"),
}


def risk_span(risk: str) -> Span:
    """Write a risk class so that it is told apart without colour."""
    words, token = _RISK.get(risk, (f"? {risk}", "warning"))
    return span(words, token, limit=24)


@dataclass(frozen=True)
class Palette:
    """The styles of a theme, worked out once: one for each meaning on each ground."""

    styles: Mapping[tuple[Ground, Token], Style]
    ascii: bool = False

    def style(self, token: Token, ground: Ground = "plain") -> Style:
        """Return the style of a meaning on a ground."""
        return self.styles[ground, token]


_PLAIN_GLYPHS = str.maketrans(
    {
        "…": "~", "─": "-", "│": "|", "▌": "|", "┃": "|", "▪": "*", "·": ".", "▲": "^", "▼": "v",
        "●": "*", "○": "o", "✓": "+", "✗": "x", "→": ">", "←": "<", "↑": "^", "↓": "v", "⏸": "=",
        "✉": "@", "—": "-", "×": "x", "−": "-", "┼": "+", "┬": "+", "┴": "+", "▸": ">",
        "█": "#", "━": "=", "═": "=", "┌": "+", "┐": "+", "└": "+", "┘": "+", "■": "#", "◐": "o",
        "‖": "=", "–": "-", "░": ".", "▒": "=", "▁": "_", "▏": "|", "◌": "o", "≥": ">", "≤": "<",
        "╌": "-", "▂": "_", "▃": "-", "▄": "-", "▅": "=", "▆": "=", "▇": "#", "↻": "%",
    }
)  # fmt: skip


def draw(spans: Iterable[Span], width: int, palette: Palette, ground: Ground = "plain") -> Strip:
    """Draw one line exactly `width` cells wide; neighbours of one style share one sequence.

    Raises :class:`TypeError` for text that was not made safe.
    """
    blank = palette.style("text", ground)
    segments: list[Segment] = []
    room = width
    for text, token in spans:
        if not isinstance(text, Safe):
            raise TypeError(f"unsafe text may not be drawn: {type(text).__name__}")
        if room <= 0:
            break
        shown = text
        wide = cell_width(text)
        if wide > room:
            shown, wide = cut(text, room), room
            wide = cell_width(shown)
        if not shown:
            continue
        plain = shown.translate(_PLAIN_GLYPHS) if palette.ascii else str(shown)
        style = blank if plain.isspace() else palette.style(token, ground)
        if segments and segments[-1].style is style:
            segments[-1] = Segment(segments[-1].text + plain, style)
        else:
            segments.append(Segment(plain, style))
        room -= wide
    if room > 0:
        if segments and segments[-1].style is blank:
            segments[-1] = Segment(segments[-1].text + " " * room, blank)
        else:
            segments.append(Segment(" " * room, blank))
    return Strip(segments, width)
