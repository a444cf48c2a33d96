"""The tmux driver shows what a real terminal would, and takes it away on demand."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.rig.deadline import eventually
from tests.rig.tmux import Tmux

pytestmark = pytest.mark.terminal
ENVIRONMENT = {"PATH": os.environ["PATH"]}
Open = Callable[..., Tmux]


def _shell(make_terminal: Open, tmp_path: Path, script: str, **size: int) -> Tmux:
    return make_terminal(**size).start(["sh", "-c", script], env=ENVIRONMENT, cwd=tmp_path)


def test_types_reads_and_learns_the_exit_code(make_terminal: Open, tmp_path: Path) -> None:
    terminal = _shell(make_terminal, tmp_path, 'read line; echo "got <$line>"; read line; exit 3')
    terminal.keys("a b; c", "Enter")
    terminal.wait_for("got <a b; c>")
    terminal.keys("Enter")
    assert terminal.wait_end() == 3


def test_starts_at_the_size_and_tells_of_another(make_terminal: Open, tmp_path: Path) -> None:
    script = "trap 'stty size' WINCH; stty size; while :; do read line; done"
    terminal = _shell(make_terminal, tmp_path, script, columns=100, rows=30)
    terminal.wait_for("30 100")
    terminal.resize(40, 12)
    terminal.wait_for("12 40")


def test_passes_only_the_environment_given(make_terminal: Open, tmp_path: Path) -> None:
    terminal = _shell(make_terminal, tmp_path, 'echo "home=<$HOME> color=<$COLORTERM>"; read line')
    terminal.wait_for("home=<> color=<truecolor>")


def test_a_hang_up_reaches_the_program(make_terminal: Open, tmp_path: Path) -> None:
    mark = tmp_path / "hung-up"
    script = f"trap 'touch {mark}; exit' HUP; echo ready; while :; do read line || exit; done"
    terminal = _shell(make_terminal, tmp_path, script)
    terminal.wait_for("ready")
    terminal.hang_up()
    eventually(mark.exists, "the program heard the hang-up")


def test_a_failed_wait_shows_the_screen(make_terminal: Open, tmp_path: Path) -> None:
    terminal = _shell(make_terminal, tmp_path, "echo here I am; read line")
    terminal.wait_for("here I am")
    with pytest.raises(AssertionError, match="here I am"):
        terminal.wait_for("somebody else", seconds=0.1)
