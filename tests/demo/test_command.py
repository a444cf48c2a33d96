"""`watchkeeper demo` from outside: a rehearsal that reports, and refusals that say what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.rig.plane import Plane
from tests.rig.process import clean_environment
from watchkeeper.demo.command import Duration
from watchkeeper.demo.report_text import write_report

STRANGER = """
agent:
  name: payroll
  owner: people-ops
  tools: {allowlist: []}
"""


def demo(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "watchkeeper", "demo", *arguments],
        capture_output=True,
        text=True,
        env={**clean_environment(home), "TMPDIR": str(home)},
        timeout=180,
        check=False,
    )


def test_a_rehearsal_reports_and_leaves_nothing_behind(tmp_path: Path) -> None:
    ended = demo(tmp_path, "--headless", "--for", "6s", "--json", "--pace", "6")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["checks"] == {
        "every_refund_has_its_approval": True,
        "every_call_has_its_event": True,
        "ledger_verifies": True,
    }
    assert found["agents"] == 8
    assert found["calls"]["permitted"] > 0
    assert found["spend_micros"] > 0
    assert "scripted" in found["approvals"]["decided_by"]
    assert "every refund has its approval" in write_report(found)
    assert list(tmp_path.iterdir()) == []


def test_it_keeps_away_from_a_plane_with_other_agents(
    tmp_path: Path, make_plane: Callable[..., Plane]
) -> None:
    plane = make_plane()
    plane.apply(STRANGER)
    ended = demo(tmp_path, "--headless", "--for", "1s", "--state", str(plane.state))
    assert ended.returncode == 4
    assert "payroll" in ended.stderr
    assert "--state" in ended.stderr
    assert [r["name"] for r in plane.operator.get("/v1/agents")["rows"]] == ["payroll"]


def test_without_a_terminal_it_points_to_the_plain_way(tmp_path: Path) -> None:
    ended = demo(tmp_path, "--state", str(tmp_path / "state"))
    assert ended.returncode == 2
    assert "terminal" in ended.stderr
    assert not (tmp_path / "state").exists()


def test_stop_and_status_where_nothing_runs(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path))
    assert "No demo" in demo(tmp_path, "stop", *state).stdout
    ended = demo(tmp_path, "status", *state)
    assert ended.returncode == 3
    assert "No demo fleet" in ended.stdout


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("2m", 120), ("45", 45)])
def test_times_are_read(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "0", "ten", "5h", "-3s"])
def test_other_times_are_refused(tmp_path: Path, text: str) -> None:
    ended = demo(tmp_path, "--headless", "--for", text)
    assert ended.returncode == 2
    assert "30s" in ended.stderr
    assert os.listdir(tmp_path) == []
