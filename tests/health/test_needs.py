"""What ails, and what nobody knows, on the watch: bounded, and each thing once."""

from __future__ import annotations

from typing import Any

from tests.api.test_needs import NOW, SECOND, agent
from watchkeeper.api.needs import from_agent, from_ailing, from_unsettled
from watchkeeper.decide.runs.ailing import Ailing
from watchkeeper.wire.decisions import Reconciled
from watchkeeper.wire.health import Health, UnsettledRow


def ailing(run: str, health: Health, since: int = 0) -> Ailing:
    return Ailing(run, "clerk", health, "no sign for 5 m 00 s", NOW - since * SECOND)


def unsettled(**more: Any) -> UnsettledRow:
    fields: dict[str, Any] = {
        "decision": "dec_1",
        "agent": "clerk",
        "owner": "finance-ops",
        "run": "run_1",
        "kind": "tool",
        "name": "books.refund",
        "risk": "high",
        "performer": "agent",
        "at": NOW - 2000 * SECOND,
        "since": NOW - 1000 * SECOND,
        "why": "nobody reported how it ended",
        "outcome": "unknown",
    }
    return UnsettledRow(**(fields | more))


def test_however_many_runs_ail_it_is_one_need_for_each_ailment() -> None:
    runs = [ailing(f"run_{n}", "silent", n) for n in range(500)]
    runs += [ailing("run_x", "lost"), ailing("run_y", "stuck", 7), ailing("run_z", "stuck", 9)]
    row = agent(open_runs=600, ailing_runs=len(runs), health="working")
    stuck, lost, silent = from_ailing(row, runs)
    assert stuck.text == "2 runs of clerk are stuck: no sign for 5 m 00 s"
    assert stuck.since == NOW - 9 * SECOND
    assert lost.text.startswith("run run_x of clerk is lost")
    assert silent.text.startswith("500 runs of clerk are silent")
    assert stuck.score > lost.score > silent.score
    assert {need.kind for need in (stuck, lost, silent)} == {"run"}


def test_an_agent_none_of_whose_runs_lives_is_one_need() -> None:
    row = agent(state="silent", health="lost", open_runs=2, ailing_runs=2)
    assert from_ailing(row, [ailing("run_1", "silent"), ailing("run_2", "lost")]) == []
    need = from_agent(row, NOW)
    assert need is not None
    assert need.text == "clerk is lost with 2 open runs"
    idle = agent(state="silent", health="silent", open_runs=0, why="it acts every 1 h 00 m")
    expected = from_agent(idle, NOW)
    assert expected is not None
    assert expected.text == "clerk is silent: it acts every 1 h 00 m"


def test_what_changes_nothing_or_is_settled_is_no_task() -> None:
    assert from_unsettled(unsettled(risk="low"), mine=True) is None
    word = Reconciled(status="failed", by="person/ada", at=NOW, reason="looked", was="")
    assert from_unsettled(unsettled(reconciled=word), mine=True) is None


def test_a_task_names_its_owner_and_what_an_agent_said_is_made_safe() -> None:
    need = from_unsettled(unsettled(why="it reports: \x1b[2Jfine", object="charge/ch_1"), mine=True)
    assert need is not None
    assert need.text == (
        "nobody knows how books.refund on charge/ch_1 of clerk, finance-ops ended: "
        "it reports: ␛[2Jfine"
    )
    assert need.since == NOW - 1000 * SECOND
    others = from_unsettled(unsettled(), mine=False)
    worse = from_unsettled(unsettled(risk="critical"), mine=True)
    assert others is not None
    assert worse is not None
    assert others.score < need.score < worse.score
