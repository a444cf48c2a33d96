"""Help fits the screen, and what only helps loads nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tests.cli.command import watchkeeper
from watchkeeper import __version__
from watchkeeper.cli.group import root
from watchkeeper.cli.main import COMMANDS, HELP, load

COLUMNS, ROWS = 80, 24
HEAVY = (
    "textual", "rich", "sqlalchemy", "pydantic", "httpx", "starlette", "uvicorn", "aiohttp",
    "watchkeeper.wire", "watchkeeper.store",
)  # fmt: skip


def completing(words: str, index: int) -> dict[str, str]:
    return {
        "_WATCHKEEPER_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(index),
    }


def every_command() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name in COMMANDS:
        command = load(name)
        found.append((name,))
        if isinstance(command, click.Group):
            found += [(name, inner) for inner in command.commands]
    return found


@pytest.mark.parametrize(
    ("word", "meant"),
    [("lift", "locks lift LOCK"), ("drain", "kill TARGET --mode drain"), ("lokcs", "locks")],
)
def test_what_people_call_otherwise_is_named(word: str, meant: str) -> None:
    ended = CliRunner().invoke(root, [word, "x"])
    assert ended.exit_code == 2
    assert f"Did you mean `{meant}`?" in ended.output


def test_the_help_is_one_screen_and_names_every_command(tmp_path: Path) -> None:
    ended = watchkeeper(tmp_path, "--help")
    assert (ended.code, ended.out) == (0, HELP)
    lines = HELP.splitlines()
    assert len(lines) <= ROWS
    assert max(map(len, lines)) <= COLUMNS
    words = set(HELP.replace("\n", " ").split())
    assert set(COMMANDS) <= words
    assert watchkeeper(tmp_path, "-h").out == HELP
    assert CliRunner().invoke(root, ["--state", "x", "--help"]).output.strip() == HELP.strip()


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_each_commands_help_is_one_screen(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(root, [*words, "--help"], terminal_width=COLUMNS)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert len(lines) <= ROWS, result.output
    assert max(map(len, lines)) <= COLUMNS, result.output
    assert lines[0].startswith(f"Usage: root {' '.join(words)}")
    cut = [line for line in lines[1:] if line.endswith("...")]
    assert not cut, "a summary that does not fit says half"


@pytest.mark.parametrize(
    ("arguments", "environ"),
    [
        (["--help"], {}),
        (["--version"], {}),
        (["completion", "bash"], {}),
        (["help"], {}),
        (["requests", "--help"], {}),
        ([], completing("watchkeeper re", 1)),
        ([], completing("watchkeeper requests a", 2)),
    ],
)  # fmt: skip
def test_help_and_completion_load_nothing_heavy(
    arguments: list[str], environ: dict[str, str]
) -> None:
    code = (
        "import sys\n"
        "from watchkeeper.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        f"heavy = [m for m in {HEAVY!r} if m in sys.modules]\n"
        "print('HEAVY', heavy, file=sys.stderr)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={"PYTHONPATH": ":".join(sys.path), **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stderr.strip().endswith("HEAVY []"), ended.stderr
    assert ended.stdout


def test_completion_completes_commands_and_subcommands(tmp_path: Path) -> None:
    def complete(words: str, index: int) -> set[str]:
        ended = watchkeeper(tmp_path, environ=completing(words, index))
        return {line.partition(",")[2] for line in ended.out.splitlines()}

    assert complete("watchkeeper re", 1) == {"replay", "report", "requests", "resume"}
    assert complete("watchkeeper requests ap", 2) == {"approve"}
    assert complete("watchkeeper help ap", 2) == {"approvals"}
    assert "--connect" in complete("watchkeeper --co", 1)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(tmp_path: Path, shell: str) -> None:
    ended = watchkeeper(tmp_path, "completion", shell)
    assert ended.code == 0
    assert "_WATCHKEEPER_COMPLETE" in ended.out


def test_the_version_is_said(tmp_path: Path) -> None:
    assert watchkeeper(tmp_path, "--version").out == f"watchkeeper {__version__}\n"


@pytest.mark.parametrize(
    ("words", "near"),
    [("reqests list", "`requests`"), ("policy chck .", "`check`"), ("demo stopp", "`stop`"),
     ("tools xyzzy", "`watchkeeper tools --help`")],
)  # fmt: skip
def test_an_unknown_command_names_the_nearest(tmp_path: Path, words: str, near: str) -> None:
    ended = watchkeeper(tmp_path, *words.split())
    assert ended.code == 2
    assert near in ended.err


@pytest.mark.parametrize("arguments", [(), ("console",)])
def test_without_a_terminal_the_console_points_to_plain_commands(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    ended = watchkeeper(tmp_path, *arguments, state=tmp_path / "state")
    assert ended.code == 2
    assert "watchkeeper requests list" in ended.err
    assert not (tmp_path / "state").exists(), "it starts no plane for a screen it cannot draw"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_an_answer_that_cannot_be_written_is_said_plainly() -> None:
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "watchkeeper", "help", "getting-started"],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert ended.returncode == 1
    assert ended.stderr == ("watchkeeper: the answer cannot be written: No space left on device\n")
