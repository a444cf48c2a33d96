"""A demo fleet that the journeys share, and the last screen of a journey that failed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.demo import Demo
from tests.rig.tmux import Tmux

PACE = "3"
"""Agents think a third as long as in the plain demo, so that stories come to their point."""
TERMINALS = pytest.StashKey[list[Tmux]]()
MakeTerminal = Callable[..., Tmux]
Reports = Generator[None, pytest.TestReport, pytest.TestReport]


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A fleet that works, started by the one line; each journey looks at agents of its own."""
    made = Demo(tmp_path_factory.mktemp("demo"))
    try:
        with Tmux() as terminal:
            made.open(terminal, f"watchkeeper demo --pace {PACE}").expect("8 agents").leave()
        made.wait_for_agents()
        yield made
    finally:
        made.stop()


@pytest.fixture
def own_demo(tmp_path: Path) -> Iterator[Demo]:
    """A demo that the test starts itself."""
    made = Demo(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def terminal(make_terminal: MakeTerminal, request: pytest.FixtureRequest) -> MakeTerminal:
    """Open a terminal of a given size; all close with the test, and a failure shows them."""
    opened: list[Tmux] = request.node.stash.setdefault(TERMINALS, [])

    def make(columns: int = 80, rows: int = 24) -> Tmux:
        opened.append(make_terminal(columns, rows))
        return opened[-1]

    return make


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Reports:
    """Put the last screens into the report of a failure."""
    report = yield
    if report.when == "call" and report.failed:
        for opened in item.stash.get(TERMINALS, []):
            report.sections.append(("the last screen", opened.last_screen()))
    return report
