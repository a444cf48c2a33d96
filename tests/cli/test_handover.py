"""Handing the watch over from the command line, with an editor or without."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import Ended, on, watchkeeper
from tests.rig.plane import Plane
from tests.rig.process import clean_environment
from tests.rig.world import POLICY, world
from watchkeeper.cli import exits

PERSON = "person: {name: grace, operates: [{role: viewer}]}"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    running = Plane(tmp_path_factory.mktemp("handover")).start()
    try:
        running.apply(*world(PERSON), policies__cedar=POLICY)
        yield running
    finally:
        running.close()


def edited(plane: Plane, editor: Path) -> subprocess.CompletedProcess[str]:
    """Run `handover give` on a terminal, with this editor."""
    here, there = pty.openpty()
    try:
        words = ("handover", "give", "--role", "finance-ops")
        more = {"WATCHKEEPER_STATE": str(plane.state), "VISUAL": str(editor)}
        return subprocess.run(
            [sys.executable, "-m", "watchkeeper", *words],
            env=clean_environment(plane.directory, **more),
            stdin=there,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(here)
        os.close(there)


def editor(path: Path, does: str) -> Path:
    path.write_text(f"#!/bin/sh\n{does}\n")
    path.chmod(0o700)
    return path


def test_a_watch_is_given_and_taken_over(plane: Plane, tmp_path: Path) -> None:
    draft = on(plane, "handover", "draft", "--role", "finance-ops")
    assert draft.out.startswith("# Hand-over of finance-ops\n")
    given = on(plane, "handover", "give", "--role", "finance-ops", "--yes", "--json").json()
    assert not given["edited"]
    assert given["handover"] in on(plane, "handover", "list", "--which", "given").out
    mine = on(plane, "handover", "acknowledge", given["handover"])
    assert mine.code == exits.NOT_ALLOWED
    assert "gave it" in mine.err

    issued = {"person": "grace", "permission": "viewer"}
    token = plane.operator.post("/v1/persons/tokens", issued)["token"]

    def grace(*words: str) -> Ended:
        return watchkeeper(tmp_path, "--connect", plane.url, "handover", *words, token=token)

    shown = grace("show", given["handover"])
    assert given["digest"] in shown.out
    assert "# Hand-over of finance-ops" in shown.out
    taken = grace("acknowledge", given["handover"], "--note", "have it")
    assert taken.code == 0, taken.err
    assert taken.out.rstrip().splitlines()[-1].startswith("You have taken finance-ops over from ")
    assert "acknowledged" in grace("list").out
    assert grace("acknowledge", given["handover"]).code == exits.CONFLICT


def test_the_editor_has_the_last_word(plane: Plane, tmp_path: Path) -> None:
    writes = editor(tmp_path / "writes", 'echo "mind the clerk" >> "$1"')
    ended = edited(plane, writes)
    assert ended.returncode == 0, ended.stderr
    newest = plane.operator.get("/v1/handovers", limit=1)["rows"][0]["handover"]
    kept = plane.operator.get(f"/v1/handovers/{newest}")
    assert kept["edited"]
    assert kept["text"].endswith("mind the clerk")

    count = len(plane.operator.get("/v1/handovers")["rows"])
    for name, does in (("leaves", "exit 0"), ("fails", "exit 1"), ("empties", ': > "$1"')):
        ended = edited(plane, editor(tmp_path / name, does))
        assert ended.returncode == exits.REFUSED, (name, ended.stderr)
    without = on(plane, "handover", "give", "--role", "finance-ops")
    assert "--yes" in without.err
    assert len(plane.operator.get("/v1/handovers")["rows"]) == count


def test_a_text_may_come_from_elsewhere(plane: Plane, tmp_path: Path) -> None:
    words = ("handover", "give", "--role", "finance-ops", "--to", "grace", "--file")
    piped = on(plane, *words, "-", typed="all quiet\n")
    assert "is given to grace" in piped.out
    (tmp_path / "note.md").write_text("as I said\n")
    assert on(plane, *words, str(tmp_path / "note.md")).code == 0
    assert on(plane, *words, str(tmp_path / "none.md")).code == exits.REFUSED
