"""Settings: one file, every mistake named with the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from watchkeeper.console.configuration import Configuration, read_configuration
from watchkeeper.core.errors import Invalid


def write(directory: Path, text: str) -> Path:
    path = directory / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_no_file_has_the_defaults(tmp_path: Path) -> None:
    held = read_configuration(tmp_path / "none.toml")
    assert held.theme == "watch-dark"
    assert not held.mouse
    assert held.undo_seconds == 5


def test_everything_can_be_set(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        'theme = "watch-light"\ntime_zone = "Europe/Paris"\nnotifications = ["bell", "osc9"]\n'
        'quiet_from = "22:00"\nquiet_until = "07:00"\nundo_seconds = 0\nmouse = true\n'
        'signing_key = "~/.ssh/id_ed25519_sk"\nreasons = ["as agreed"]\nascii = true\n'
        'read_only = true\nclock_seconds = false\n[keymap]\n"list.open" = ["o"]\n'
        "[plane]\nport = 8750\n",
    )
    held = read_configuration(path)
    assert held.keymap == {"list.open": ("o",)}
    assert str(held.zone) == "Europe/Paris"
    assert held.read_only
    assert held.reasons == ("as agreed",)
    assert held.path == path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("theem = 'x'", "did you mean theme"),
        ("undo_seconds = 90", "from 0 to 60"),
        ("undo_seconds = true", "from 0 to 60"),
        ("time_zone = 'Mars/Olympus'", "Europe/Paris"),
        ("notifications = ['pigeon']", "osc9"),
        ("quiet_from = '25:00'", "22:00"),
        ("mouse = 'yes'", "true or false"),
        ("reasons = 'fine'", "a list"),
        ('reasons = ["a\\tb"]', "on one line"),
        ("[keymap]\n'a.b' = 3", "a key or a list"),
        ("theme =", "not TOML"),
    ],
)
def test_a_mistake_names_the_file_and_the_remedy(tmp_path: Path, text: str, words: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(Invalid) as raised:
        read_configuration(path)
    assert str(path) in str(raised.value)
    assert words in str(raised.value)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="larger"):
        read_configuration(write(tmp_path, "#" * 300_000))


def test_flags_come_before_the_file() -> None:
    held = Configuration(mouse=False, ascii=True).with_flags(True, None, None)
    assert held.mouse
    assert held.ascii
    assert not held.read_only
