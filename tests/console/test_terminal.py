"""The console in a real terminal: bytes, signals, colours, hostile text."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.rig.deadline import eventually
from tests.rig.terminal import Terminal, sequences

REPOSITORY = Path(__file__).parents[2]
RESTORED = (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?2004l", b"\x1b[<u", b"\x1b[?1004l", b"\x1b[23;2t")

Start = Callable[..., Terminal]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return what starts a console over rows in memory in a terminal."""
    opened: list[Terminal] = []

    def begin(
        *,
        columns: int = 80,
        rows: int = 24,
        env: dict[str, str] | None = None,
        answers: bool = True,
        **wanted: object,
    ) -> Terminal:
        terminal = Terminal(columns=columns, rows=rows, answers=answers)
        opened.append(terminal)
        held = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PYTHONPATH": f"{REPOSITORY / 'src'}:{REPOSITORY}",
            "WATCHKEEPER_STATE": str(tmp_path / "state"),
            "WATCHKEEPER_CONFIG": str(tmp_path / "config.toml"),
            **(env or {}),
        }
        command = [sys.executable, "-m", "tests.console.memory_main", json.dumps(wanted)]
        return terminal.start(command, env=held, cwd=tmp_path)

    yield begin
    for terminal in opened:
        terminal.close()


def ready(terminal: Terminal, place: str = "1/50") -> Terminal:
    terminal.wait_for("staging", "a approve", place)
    return terminal


def during(terminal: Terminal, seconds: float) -> bytes:
    """Return what is written in a stretch of time."""
    before = len(terminal.received)
    end = time.monotonic() + seconds
    eventually(lambda: time.monotonic() >= end, "the time is over", seconds=seconds + 5)
    return terminal.received[before:]


def test_quitting_gives_the_terminal_back(start: Start) -> None:
    terminal = ready(start())
    terminal.type("q")
    assert terminal.wait_end() == 0
    for sequence in RESTORED:
        assert sequence in terminal.received


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_gives_the_terminal_back(start: Start, number: signal.Signals) -> None:
    terminal = ready(start())
    terminal.signal(number)
    assert terminal.wait_end() == 128 + number
    for sequence in RESTORED:
        assert sequence in terminal.received, sequence


def test_a_lost_link_ends_it_and_sends_nothing(start: Start, tmp_path: Path) -> None:
    terminal = ready(start())
    terminal.type("a")
    terminal.wait_for("u takes back")
    terminal.hang_up()
    terminal.wait_end()
    assert not (tmp_path / "sent").exists()


def test_a_lost_link_ends_it_even_when_it_is_stuck(start: Start, tmp_path: Path) -> None:
    terminal = start(stuck=True)
    eventually((tmp_path / "stuck").exists, "it answers nothing any more")
    terminal.hang_up()
    assert terminal.wait_end(seconds=10) == 128 + signal.SIGHUP


def test_what_waits_is_sent_when_its_time_has_come(start: Start, tmp_path: Path) -> None:
    terminal = ready(start())
    terminal.type("a")
    terminal.wait_for("1/49")
    assert (tmp_path / "sent").read_text() == "req_00000"


def test_a_crash_shows_a_short_message_and_no_secret(start: Start, tmp_path: Path) -> None:
    terminal = start(crash=True)
    terminal.wait_for("a approve")
    assert terminal.wait_end() == 1
    shown = terminal.received
    assert b"The console failed" in shown
    assert b"planted-canary" not in shown
    assert b"Traceback" not in shown
    for sequence in RESTORED:
        assert sequence in shown
    (log,) = (tmp_path / "state").glob("crash_*.log")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert str(log).encode() in shown.replace(b"\r\n", b"")


def test_ctrl_z_suspends_and_fg_returns(start: Start) -> None:
    terminal = ready(start())
    terminal.type("\x1a")
    eventually(lambda: _state(terminal.pid) == "T", "it is stopped")
    eventually(lambda: b"\x1b[?1049l" in terminal.received, "the first screen is given back")
    terminal.signal(signal.SIGCONT)
    terminal.type("jj")
    terminal.wait_for("3/50")


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_nothing_changing_writes_nothing(start: Start) -> None:
    terminal = start(count=0, seconds=False)
    terminal.wait_for("Nothing waits")
    # the clock may turn to the next minute once
    terminal.wait_quiet(2)
    assert len(during(terminal, 5)) < 200


@pytest.mark.parametrize(("columns", "rows", "most"), [(80, 24, 4000), (200, 50, 6000)])
def test_ten_changing_rows_stay_within_the_budget(
    start: Start, columns: int, rows: int, most: int
) -> None:
    terminal = ready(start(columns=columns, rows=rows, changing=10))
    terminal.wait_for("req_")
    during(terminal, 1)
    assert len(during(terminal, 3)) / 3 < most


def test_no_color_means_none(start: Start) -> None:
    terminal = ready(start(env={"NO_COLOR": "1"}, changing=3))
    terminal.type("j x".replace(" ", ""))
    terminal.wait_for("Reject this?")
    colours = set(re.findall(rb"\x1b\[([0-9;]*)m", terminal.received))
    for colour in colours:
        parts = set(colour.split(b";"))
        assert not parts & {b"38", b"48"}, colour
        assert all(not 30 <= int(part or 0) <= 37 for part in parts), colour
        assert all(not 90 <= int(part or 0) <= 107 for part in parts), colour
    assert any(b"7" in colour.split(b";") for colour in colours), "the focus is reversed"


@pytest.mark.parametrize(
    ("term", "deep"), [("xterm-256color", b"38;5;"), ("xterm", b"3"), ("linux", b"3")]
)
def test_fewer_colours_are_enough(start: Start, term: str, deep: bytes) -> None:
    terminal = ready(start(env={"TERM": term, "COLORTERM": ""}))
    assert b"38;2;" not in terminal.received
    assert deep in terminal.received


def test_the_mouse_is_left_to_the_terminal(start: Start) -> None:
    terminal = ready(start())
    for mode in (b"?1000h", b"?1003h", b"?1006h"):
        assert mode not in terminal.received


def test_a_dumb_terminal_is_refused(start: Start) -> None:
    terminal = start(env={"TERM": "dumb"})
    assert terminal.wait_end() == 2
    assert b"cannot place text" in terminal.received
    assert b"\x1b" not in terminal.received


def test_the_cursor_of_the_terminal_is_at_the_row_in_focus(start: Start) -> None:
    terminal = ready(start())
    terminal.type("jjj")
    terminal.wait_for("4/50")
    eventually(lambda: terminal.cursor == (0, 7), "the cursor is on the fourth row")


def test_the_title_counts_what_waits_and_is_given_back(start: Start) -> None:
    terminal = ready(start(waiting=7))
    eventually(lambda: terminal.title == "(7) Watchkeeper", "the title is set")


def test_copying_goes_through_the_terminal_and_says_so(start: Start) -> None:
    terminal = ready(start())
    terminal.type("y")
    terminal.wait_for("copied req_00000 by the terminal")
    assert b"\x1b]52;c;cmVxXzAwMDAw\x07" in terminal.received


def test_copying_in_tmux_is_wrapped(start: Start) -> None:
    terminal = ready(start(env={"TMUX": "/tmp/x,1,0"}))
    terminal.type("y")
    terminal.wait_for("through tmux")
    assert b"\x1bPtmux;\x1b\x1b]52;c;cmVxXzAwMDAw\x07\x1b\\" in terminal.received


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
def test_hostile_text_adds_no_sequence_of_its_own(start: Start, size: tuple[int, int]) -> None:
    """The same keys over hostile and harmless text use the same escape sequences."""
    used = {}
    for words in ("harmless", "hostile"):
        terminal = start(columns=size[0], rows=size[1], words=words)
        terminal.wait_for("staging", "a approve", "1/40")
        terminal.type("\r")
        terminal.wait_for("q back")
        for _ in range(39):
            terminal.type("J")
        terminal.wait_quiet(0.5)
        terminal.type("q")
        terminal.wait_for("40/40", "enter open")
        terminal.type("gG")
        terminal.type("x")
        terminal.wait_for("Reject this?")
        terminal.wait_quiet(0.3)
        terminal.type("\x1b")
        terminal.wait_without("Reject this?")
        assert "owned" not in terminal.title
        assert terminal.title == "Watchkeeper"
        terminal.type("q")
        assert terminal.wait_end() == 0
        used[words] = sequences(terminal.received)
        lone = re.sub(rb"\x1b\[[0-9;?<>=]*[ -/]*[@-~]|\x1b\][^\x07]*\x07", b"", terminal.received)
        assert not set(lone) & (set(range(0x20)) - {0x0A, 0x0D, 0x1B})
        assert "\x9b" not in terminal.received.decode()
    assert used["hostile"] <= used["harmless"]


def test_rows_of_hostile_text_keep_their_columns(start: Start) -> None:
    terminal = start(columns=120, rows=60, words="hostile")
    terminal.wait_for("a approve", "1/40")
    lines = terminal.wait_for("level").split("\n")
    shown = [line for line in lines if "level" in line]
    assert len(shown) == 40
    terminal.wait_quiet(0.5)
    dividers = {row.index("│", 40) for row in terminal.cells[3:-2]}
    assert len(dividers) == 1
    assert len({row.index("v") for row in (r[50:] for r in terminal.cells[4:44])}) == 1


def test_a_key_is_painted_soon_on_a_slow_link(start: Start) -> None:
    terminal = ready(start(changing=10))
    terminal.bytes_per_second = 8000
    during(terminal, 3)
    ahead = []
    for place in range(2, 12):
        before = len(terminal.received)
        terminal.type("j")
        terminal.wait_for(f"{place}/50")
        ahead.append(len(terminal.received) - before)
    ahead.sort()
    assert ahead[len(ahead) // 2] < terminal.bytes_per_second, "within a second on that link"


def test_the_list_outlives_a_terminal_that_never_answers(start: Start) -> None:
    terminal = ready(start(answers=False, changing=2))
    terminal.type("jj")
    terminal.wait_for("3/50")


def test_a_reason_may_be_written_in_ones_own_editor(start: Start, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nprintf 'no proof\\nof \\033[2Janything' > \"$1\"\n")
    editor.chmod(0o700)
    terminal = ready(start(env={"EDITOR": str(editor)}))
    terminal.type("x")
    terminal.wait_for("Reject this?", "^o editor")
    during(terminal, 0.4)  # a dialog takes no key at once
    terminal.type("\x0f")
    terminal.wait_for("no proof of [2Janything")
    terminal.type("\r")
    terminal.wait_for("rejected req_00000")


def test_something_new_rings_and_is_told_outside(start: Start) -> None:
    terminal = ready(start(waiting=3, calls="bell osc9", events=40, more=True))
    terminal.wait_for("4 for you")
    eventually(lambda: b"\x1b]9;4 approvals wait for you\x07" in terminal.received, "it calls")
    assert terminal.received.count(b"\x1b]9;") == 1, "and not again for ten seconds"
    rung = terminal.received.replace(b"\x1b]", b"").count(b"\x07")
    assert rung >= 1


TOLD = {
    "osc9": (b"\x1b]9;4 approvals wait for you\x07",),
    "osc777": (b"\x1b]777;notify;Watchkeeper;4 approvals wait for you\x07",),
    "osc99": (
        b"\x1b]99;i=watchkeeper:d=0;Watchkeeper\x1b\\",
        b"\x1b]99;i=watchkeeper:p=body;4 approvals wait for you\x1b\\",
    ),
}
"""What each setting writes; OSC 99 as kitty's protocol has it, title and body under one id."""


@pytest.mark.parametrize("kind", TOLD)
def test_each_terminals_own_notification_is_told(start: Start, kind: str) -> None:
    terminal = ready(start(waiting=3, calls=kind, events=40, more=True))
    eventually(lambda: all(sequence in terminal.received for sequence in TOLD[kind]), "it is told")
    others = {b"\x1b]9;", b"\x1b]777;", b"\x1b]99;"} - {TOLD[kind][0].partition(b";")[0] + b";"}
    assert not any(other in terminal.received for other in others), "nothing else is"


def test_in_tmux_a_notification_is_wrapped_for_the_terminal_around_it(start: Start) -> None:
    terminal = ready(
        start(waiting=3, calls="bell osc99", events=40, more=True, env={"TMUX": "/tmp/x,1,0"})
    )
    wrapped = b"".join(one.replace(b"\x1b", b"\x1b\x1b") for one in TOLD["osc99"])
    eventually(
        lambda: b"\x07\x1bPtmux;" + wrapped + b"\x1b\\" in terminal.received,
        "the bell is tmux's own, the rest goes through it",
    )


def test_unless_asked_for_nothing_is_told(start: Start) -> None:
    terminal = ready(start(waiting=3, events=40, more=True))
    eventually(lambda: terminal.title == "(4) Watchkeeper", "the title counts")
    outside_titles = re.sub(rb"\x1b\][0-9]+;[^\x07]*\x07", b"", terminal.received)
    assert b"\x07" not in outside_titles
    assert not re.search(rb"\x1b\](9|777|99);", terminal.received)


def test_in_quiet_hours_only_the_title_counts(start: Start) -> None:
    terminal = ready(start(waiting=3, calls="bell osc9 osc777", events=40, more=True, quiet=True))
    eventually(lambda: terminal.title == "(4) Watchkeeper", "the title counts")
    outside_titles = re.sub(rb"\x1b\][0-9]+;[^\x07]*\x07", b"", terminal.received)
    assert b"\x07" not in outside_titles
    assert not re.search(rb"\x1b\](9|777|99);", terminal.received)


def test_keys_that_come_like_a_paste_decide_nothing(start: Start, tmp_path: Path) -> None:
    """A terminal without bracketed paste hands pasted text over as keys."""
    terminal = ready(start())
    terminal.type("jkjkjkjkjkjkjkjka")
    terminal.wait_for("keys came faster than hands type")
    terminal.type("a")
    terminal.wait_for("u takes back")
