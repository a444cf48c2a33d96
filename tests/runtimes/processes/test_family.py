"""Which processes belong to a launch, for any table of processes."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.tools.processes import table
from watchkeeper.tools.processes.table import Process, family, read_process, read_table

PIDS = st.integers(2, 12)
STARTS = st.sampled_from(["boot 1", "boot 2"])


@st.composite
def tables(draw: st.DrawFn) -> dict[int, Process]:
    pids = draw(st.sets(PIDS, max_size=8))
    return {
        pid: Process(pid, draw(PIDS), draw(PIDS), draw(PIDS), "S", draw(STARTS)) for pid in pids
    }


@pytest.fixture(autouse=True)
def without_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "HAS_PROC", False)


@given(tables(), PIDS, st.sets(st.tuples(PIDS, STARTS)))
def test_nothing_belongs_that_nothing_ties_to_the_launch(
    processes: dict[int, Process], pid: int, known: set[tuple[int, str]]
) -> None:
    leader = (pid, "boot 1")
    found = {one.pid for one in family(processes, leader, "prc_x", known)}
    assert found <= processes.keys()
    leads = pid in processes and processes[pid].identity == leader
    for one in processes.values():
        tied = (
            one.identity == leader
            or one.identity in known
            or (leads and pid in (one.group, one.session))
            or one.parent in found
        )
        assert (one.pid in found) == tied


@given(tables(), PIDS)
def test_a_number_that_passed_to_another_takes_nobody_along(
    processes: dict[int, Process], pid: int
) -> None:
    processes[pid] = Process(pid, 1, pid, pid, "S", "boot 2")
    assert family(processes, (pid, "boot 1"), "prc_x", [(pid, "boot 1")]) == []


@given(tables(), PIDS)
def test_more_processes_never_take_any_out(processes: dict[int, Process], pid: int) -> None:
    leader = (pid, "boot 1")
    processes[pid] = Process(pid, 1, pid, pid, "S", "boot 1")
    before = {one.pid for one in family(processes, leader, "prc_x", [])}
    more = {**processes, 99: replace(processes[pid], pid=99, parent=pid, group=99, session=99)}
    assert {one.pid for one in family(more, leader, "prc_x", [])} == before | {99}


@pytest.mark.skipif(not table.HAS_PROC, reason="there is one way only")
def test_the_two_ways_of_reading_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    by_ps = read_table()
    monkeypatch.undo()
    by_proc = read_table()
    mine, theirs = by_proc[os.getpid()], by_ps[os.getpid()]
    assert (mine.parent, mine.group, mine.held) == (theirs.parent, theirs.group, theirs.held)
    assert len(by_ps.keys() & by_proc.keys()) > 2
    one = read_process(os.getpid())
    assert one is not None
    assert one.identity == mine.identity
