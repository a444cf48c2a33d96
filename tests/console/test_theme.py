"""Every theme can be read by everybody; a broken one costs one message."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from watchkeeper.console.theme import (
    COLOURS,
    Theme,
    contrast,
    load_theme,
    read_theme,
    theme_files,
)
from watchkeeper.core.errors import Invalid

SHIPPED = {name: read_theme(path) for name, path in theme_files(None).items()}
GROUNDS = ("ground", "panel", "cursor", "marked")
TEXTS = ("text", "quiet", "strong", "accent", "critical", "warning", "good", "key")


def test_the_four_themes_ship() -> None:
    assert set(SHIPPED) == {"watch-dark", "watch-light", "high-contrast", "colour-safe"}
    assert all(theme.name == name for name, theme in SHIPPED.items())


def test_contrast_is_measured_as_agreed() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", SHIPPED.values(), ids=lambda theme: theme.name)
def test_text_has_contrast_on_every_ground(theme: Theme) -> None:
    needed = 7.0 if theme.name == "high-contrast" else 4.5
    for ground in GROUNDS:
        for text in TEXTS:
            found = contrast(theme.colours[text], theme.colours[ground])
            assert found >= needed, f"{text} on {ground}: {found:.2f}"


@pytest.mark.parametrize("theme", SHIPPED.values(), ids=lambda theme: theme.name)
def test_the_mark_of_the_focus_stands_out(theme: Theme) -> None:
    for ground in ("ground", "cursor", "panel"):
        assert contrast(theme.colours["accent"], theme.colours[ground]) >= 3


def _dichromat(colour: str, kind: str) -> tuple[float, float, float]:
    """Simulate a colour as someone without one kind of cone sees it (Viénot 1999, linear)."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (v**2.2 for v in (red, green, blue))
    if kind == "deuteranopia":
        mixed = 0.29275 * red + 0.70725 * green
        return mixed, mixed, -0.02234 * red + 0.02234 * green + blue
    bluish = 0.15773 * red + 0.84227 * green
    return red, bluish, bluish


@pytest.mark.parametrize("kind", ["deuteranopia", "tritanopia"])
def test_the_colour_safe_theme_keeps_meanings_apart(kind: str) -> None:
    theme = SHIPPED["colour-safe"]
    seen = {name: _dichromat(theme.colours[name], kind) for name in ("critical", "warning", "good")}
    for one, other in combinations(seen, 2):
        apart = sum((a - b) ** 2 for a, b in zip(seen[one], seen[other], strict=True))
        assert apart > 0.02, f"{one} and {other} look alike"


def test_a_persons_own_theme_comes_first(tmp_path: Path) -> None:
    text = theme_files(None)["watch-dark"].read_text().replace("#10151b", "#000001")
    (tmp_path / "watch-dark.toml").write_text(text)
    theme, complaint = load_theme("watch-dark", tmp_path)
    assert theme.colours["ground"] == "#000001"
    assert complaint is None


@pytest.mark.parametrize(
    "text",
    ["", "name = 3", "x", 'name = "a"\ndark = true\n[colours]\nground = "red"', "\x00"],
)
def test_a_broken_theme_falls_back_with_one_message(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    theme, complaint = load_theme("mine", tmp_path)
    assert theme.name == "watch-dark"
    assert complaint is not None
    assert "mine.toml" in complaint
    assert "\n" not in complaint


def test_an_unknown_theme_names_those_there_are() -> None:
    theme, complaint = load_theme("neon")
    assert theme.name == "watch-dark"
    assert complaint is not None
    assert "watch-light" in complaint


def test_unknown_colours_are_refused(tmp_path: Path) -> None:
    text = theme_files(None)["watch-dark"].read_text() + 'blink = "#ffffff"\n'
    path = tmp_path / "a.toml"
    path.write_text(text)
    with pytest.raises(Invalid, match="blink"):
        read_theme(path)


def test_every_colour_is_used() -> None:
    assert set(COLOURS) == set(GROUNDS) | set(TEXTS) | {"rule"}
