"""Themes: files of named colours, and the styles that follow from them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.style import Style
from textual.theme import Theme as TextualTheme

from watchkeeper.console.painting import GROUNDS, TOKENS, Ground, Palette, Token
from watchkeeper.core.errors import Invalid, NotFound
from watchkeeper.core.resources import resource_dir
from watchkeeper.core.text import make_safe

DEFAULT_THEME = "watch-dark"
PLAIN_THEME = "ansi-dark"
"""The toolkit's theme that leaves all colours to the terminal."""
LARGEST_THEME = 32 * 1024
COLOURS = (
    "ground", "panel", "cursor", "marked",
    "text", "quiet", "strong", "accent", "critical", "warning", "good", "key", "rule",
)  # fmt: skip
_HEX = re.compile(r"#[0-9a-fA-F]{6}\Z")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,40}\Z")
_BOLD: frozenset[Token] = frozenset({"strong", "critical", "accent"})


@dataclass(frozen=True)
class Theme:
    """Named colours, each `#rrggbb`."""

    name: str
    dark: bool
    colours: Mapping[str, str]

    def palette(self, *, ascii: bool = False) -> Palette:
        """Work out the style of each meaning on each ground."""
        grounds: dict[Ground, str] = {
            "plain": self.colours["ground"],
            "panel": self.colours["panel"],
            "cursor": self.colours["cursor"],
            "marked": self.colours["marked"],
        }
        styles = {
            (ground, token): Style(
                color=self.colours[token], bgcolor=grounds[ground], bold=token in _BOLD
            )
            for ground in GROUNDS
            for token in TOKENS
        }
        return Palette(styles, ascii)

    def for_textual(self) -> TextualTheme:
        """Return the theme that the toolkit fills what is not painted by us with."""
        colours = self.colours
        return TextualTheme(
            name=self.name,
            primary=colours["accent"],
            secondary=colours["key"],
            accent=colours["accent"],
            warning=colours["warning"],
            error=colours["critical"],
            success=colours["good"],
            foreground=colours["text"],
            background=colours["ground"],
            surface=colours["panel"],
            panel=colours["panel"],
            dark=self.dark,
        )


def plain_palette(*, ascii: bool = False) -> Palette:
    """Return styles without any colour: weight, underline and reverse tell what matters."""
    plain: dict[Token, Style] = {token: Style() for token in TOKENS}
    plain["strong"] = plain["accent"] = plain["key"] = Style(bold=True)
    plain["critical"] = Style(bold=True, underline=True)
    plain["warning"] = Style(underline=True)
    styles: dict[tuple[Ground, Token], Style] = {}
    for token in TOKENS:
        styles["plain", token] = styles["panel", token] = styles["marked", token] = plain[token]
        styles["cursor", token] = plain[token] + Style(reverse=True)
    return Palette(styles, ascii)


def read_theme(path: Path) -> Theme:
    """Read one theme file; raise :class:`Invalid` naming the file and the mistake."""
    try:
        if path.stat().st_size > LARGEST_THEME:
            raise Invalid("is too large for a theme", where=str(path))
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Invalid(f"is no theme: {make_safe(error, limit=200)}", where=str(path)) from error
    return _theme_from(document, path)


def _theme_from(document: Mapping[str, Any], path: Path) -> Theme:
    where = str(path)
    name, dark, colours = (document.get(key) for key in ("name", "dark", "colours"))
    if unknown := sorted(document.keys() - {"name", "dark", "colours"}):
        raise Invalid(f"has an unknown key {make_safe(unknown[0], limit=60)!r}", where=where)
    if not isinstance(name, str) or not _NAME.match(name):
        raise Invalid("needs a name of small letters, digits and dashes", where=where)
    if not isinstance(dark, bool):
        raise Invalid("needs dark = true or false", where=where)
    if not isinstance(colours, dict):
        raise Invalid("needs a table [colours]", where=where)
    for colour in COLOURS:
        value = colours.get(colour)
        if not isinstance(value, str) or not _HEX.match(value):
            raise Invalid(f'needs {colour} = "#rrggbb" under [colours]', where=where)
    if unknown := sorted(colours.keys() - set(COLOURS)):
        raise Invalid(f"has an unknown colour {make_safe(unknown[0], limit=60)!r}", where=where)
    return Theme(name, dark, {colour: colours[colour] for colour in COLOURS})


def theme_files(own: Path | None) -> dict[str, Path]:
    """Return theme files by name; the person's own come before those that ship."""
    found: dict[str, Path] = {}
    for place in (resource_dir("themes"), own):
        if place is not None and place.is_dir():
            found.update({path.stem: path for path in sorted(place.glob("*.toml"))})
    return found


def load_theme(name: str, own: Path | None = None) -> tuple[Theme, str | None]:
    """Return a theme, and the one message to show if it could not be used.

    A theme that is missing or broken gives the default one. Raises :class:`NotFound` only if
    this installation lacks its own themes.
    """
    files = theme_files(own)
    complaint: str | None = None
    if name in files:
        try:
            return read_theme(files[name]), None
        except Invalid as error:
            complaint = str(error)
    else:
        complaint = f"there is no theme {name!r:.50}; there are {', '.join(sorted(files))}"
    shipped = resource_dir("themes") / f"{DEFAULT_THEME}.toml"
    if not shipped.is_file():
        raise NotFound("the themes of this installation are missing", where=str(shipped))
    return read_theme(shipped), complaint


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours after WCAG 2: from 1 to 21."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = (int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5))
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
