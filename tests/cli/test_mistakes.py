"""What a command says of a mistake: what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.cli.command import on, watchkeeper
from tests.rig.plane import Plane
from watchkeeper.cli import exits
from watchkeeper.cli.group import root


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    running = Plane(tmp_path_factory.mktemp("mistakes")).start()
    yield running
    running.close()


@pytest.mark.parametrize(
    ("words", "wrong", "todo"),
    [
        ("trace dec_01m8", "dec_01m8 is no run", "`watchkeeper traces show dec_01m8`"),
        ("trace req_01m8", "req_01m8 is no run", "`watchkeeper requests show req_01m8`"),
        ("traces show dec_x", "there is no decision 'dec_x'", "`watchkeeper decisions`"),
        ("traces list --verdict refused", "verdict: verdict must be one of permit", ""),
        ("decisions --since soon", "Invalid value for '--since': 'soon'", "2026-11-17T12:00Z"),
        ("ask spike cost --until soon", "Invalid value for '--until': 'soon'", "2026-11-17"),
        ("evidence export --period soon -o x", "--period: a period reads", "2026-11-01..2026-12"),
        ("evidence export --period 2026-11-02..2026-11-01 -o x", "begins before it ends", "UTC"),
        ("report access --from 1d -o x.pdf", ".pdf names no format", "--format"),
        ("audit hold S --person kim --reason y", "hold: should be 1 to 63 lower-case letters", ""),
        ("telemetry dismiss fnd_x --reason y", "no finding", "`watchkeeper telemetry findings`"),
    ],
)
def test_it_is_said_with_what_to_do(plane: Plane, words: str, wrong: str, todo: str) -> None:
    ended = on(plane, *words.split())
    assert ended.code != exits.OK
    assert wrong in ended.err
    assert todo in ended.err


def test_a_hold_on_somebody_of_whom_nothing_is_kept_says_so(plane: Plane) -> None:
    words = ("--reason", "a letter", "--person")
    held = on(plane, "audit", "hold", "smith", *words, "kim@people.example")
    assert held.code == exits.OK
    assert "smith" in held.out
    assert "nothing is kept of kim@people.example so far" in held.err


def test_an_empty_list_says_that_there_is_none(plane: Plane) -> None:
    ended = on(plane, "traces", "search", "nothing")
    assert (ended.code, ended.err) == (exits.OK, "none\n")


def test_the_nearest_guide_and_the_command_that_is_meant_are_named(tmp_path: Path) -> None:
    assert "`watchkeeper help evidence`" in watchkeeper(tmp_path, "help", "evidense").err
    assert "`watchkeeper help` lists them" in watchkeeper(tmp_path, "help", "xyzzy").err
    assert "`traces compare RUN RUN`" in watchkeeper(tmp_path, "compare", "a", "b").err


@pytest.mark.parametrize(
    "asked",
    [
        ("agent", "run_1", "--reason", "x", "--at", "1", "--result"),
        ("fork", "run_1", "--reason", "x", "--at", "1", "--result"),
        ("decide", "run_1", "--policy"),
    ],
)
def test_a_file_that_holds_no_words_is_named(asked: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_bytes(b"\xff\xfe")
    ended = CliRunner().invoke(root, ["replay", *asked, str(file)])
    assert (ended.exit_code, ended.exception.__class__) == (1, SystemExit)
    assert f"{file}: cannot be read" in ended.output
