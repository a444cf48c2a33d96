"""What happened and why: from a refusal on Watch to its trace, its steps, and proof of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.console.desk_world import DeskWorld, filled_desk
from tests.journeys.demo import COMMANDS
from tests.rig.console import ConsoleDriver
from tests.rig.tmux import Tmux
from watchkeeper.console.place import PLACE_FILE

pytestmark = pytest.mark.terminal
Terminal = Callable[..., Tmux]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeskWorld]:
    with filled_desk(tmp_path_factory.mktemp("happened")) as desk:
        yield desk


@pytest.mark.parametrize("size", [(80, 24), (160, 48)], ids=["80x24", "160x48"])
def test_a_refusal_is_followed_to_its_cause_and_proven(
    desk: DeskWorld, terminal: Terminal, tmp_path: Path, size: tuple[int, int]
) -> None:
    plane = desk.plane
    (plane.state / PLACE_FILE).unlink(missing_ok=True)
    line = f"{COMMANDS / 'watchkeeper'} console --state {plane.state}"
    console = ConsoleDriver.start(terminal(*size), line, env=plane.environ, cwd=tmp_path)
    console.in_front("Watch").select("top up", "budget run/").press("T")
    console.expect("buyer version 1", "invoke_agent buyer", "2 refused")
    console.press("n").expect("✗ denied", "5/6")
    console.press("s").expect("as it happened, 5 steps")
    console.row("✗ denied", "did not run", "books.echo")
    console.press("Enter").expect("Step 4 of 5: books.echo", "✗ denied")
    console.press("Left").expect("Step 3 of 5: books.echo", "✓ permitted")
    console.press("Right").expect("Step 4 of 5: books.echo")
    console.read("tool calls", "■ 3 of 3 a run")

    console.press("E")
    dialog = console.dialog("Write the evidence?").shows("run run_", "personal data")
    assert dialog.focus.startswith("File")
    console.press("C-u", "buyer.tar", "Enter")
    console.expect("✓ Written", "buyer.tar", "✓ proven")
    console.press("G").expect("python3 -I verify.py buyer.tar --key")
    console.press("q").expect_no("┌─ Evidence ─").press("g").expect("Step 4 of 5")
    console.press("q").expect("as it happened")
    console.leave()

    with (tmp_path / "verify.py").open("wb") as file:
        verifier = [str(COMMANDS / "watchkeeper"), "evidence", "verifier"]
        subprocess.run(verifier, stdout=file, env=plane.environ, check=True, timeout=60)
    key = plane.operator.get("/v1/audit/keys")["rows"][0]["key"]
    command = [sys.executable, "-I", "verify.py", "buyer.tar", "--key", key]
    told = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert "What is checked holds." in told.stdout
