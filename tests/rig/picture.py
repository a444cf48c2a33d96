"""Pictures of real screens, as SVG that needs no font and no host."""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

THEME = TerminalTheme(
    (17, 20, 24),
    (214, 219, 226),
    [
        (17, 20, 24), (224, 108, 117), (152, 195, 121), (229, 192, 123),
        (97, 175, 239), (198, 120, 221), (86, 182, 194), (214, 219, 226),
    ],
)  # fmt: skip
TITLE_BAR = 30
FORMAT = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: {char_height}px; line-height: {line_height}px; white-space: pre; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
<rect width="{width}" height="{height}" rx="8" fill="#111418"/>
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def draw(styled_screen: str, *, columns: int) -> str:
    """Return an SVG of a screen given as text with colour sequences (`Tmux.styled_screen`)."""
    console = Console(
        record=True,
        width=columns,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
    )
    for line in styled_screen.split("\n"):
        console.print(Text.from_ansi(line), no_wrap=True, crop=True, end="\n")
    drawn = console.export_svg(
        theme=THEME, code_format=FORMAT, font_aspect_ratio=0.602, unique_id="screen"
    )
    drawn = re.sub(r"[ \t]+$", "", drawn, flags=re.MULTILINE)
    return _without_title_bar(drawn)


def _without_title_bar(drawn: str) -> str:
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawn)
    assert found
    height = float(found[2]) - TITLE_BAR
    drawn = drawn.replace(found[0], f'viewBox="0 {TITLE_BAR} {found[1]} {height:g}"')
    frame = f'<rect width="{found[1]}" height="{found[2]}"'
    return drawn.replace(frame, f'<rect y="{TITLE_BAR}" width="{found[1]}" height="{height:g}"')


def save(styled_screen: str, path: Path, *, columns: int) -> None:
    """Write the picture of a screen to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(draw(styled_screen, columns=columns), encoding="utf-8")
