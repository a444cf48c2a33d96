"""Spending, run costs and the report over the API and from the command line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cli.command import on
from tests.rig.plane import Plane
from tests.rig.world import POLICY, agent_document, world
from watchkeeper.cli import exits

PEOPLE = "person: {name: grace, operates: [{role: viewer, teams: [research]}]}"
USAGE = {"input_tokens": 100, "output_tokens": 10, "cost_micros": 0}


@pytest.fixture(scope="module")
def spent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """A plane on which agents of two teams spent $0.75 and $0.25; nothing here changes it."""
    plane = Plane(tmp_path_factory.mktemp("spent"), clock="frozen").start()
    documents = world(agent_document("reader", owner="research"), PEOPLE)
    plane.apply(*documents, policy__cedar=POLICY)
    for agent, cost in (("clerk", 750_000), ("reader", 250_000)):
        run = plane.enrol(agent).open_run()
        usage = {**USAGE, "cost_micros": cost}
        asked = run.decide("small-fast", kind="model", estimate=usage)
        run.settle(asked["decision"], usage=usage)
        run.close()
    yield plane
    plane.close()


def test_it_is_told_by_any_dimension(spent: Plane) -> None:
    found = spent.operator.get("/v1/spending", by="team")
    assert [(row["name"], row["cost_micros"], row["share_percent"]) for row in found["rows"]] == [
        ("finance-ops", 750_000, 75.0),
        ("research", 250_000, 25.0),
    ]
    only = spent.operator.get("/v1/spending", by="agent", team="research")
    assert [row["name"] for row in only["rows"]] == ["reader"]
    assert spent.operator.get("/v1/spending", agent="nobody")["total"]["calls"] == 0


def test_what_is_asked_wrongly_is_refused_with_what_to_write(spent: Plane) -> None:
    for query in ("by=colour", "since=5&until=5", "version=clerk", "since=-1"):
        spent.operator.problem("GET", f"/v1/spending?{query}", status=400)
    for query in ("", "period=soon", "period=2026-11&by=colour", "period=2026-11&zone=Mars",
                  "period=2026-11&format=pdf", "period=2026-11&by=team,team"):  # fmt: skip
        spent.operator.problem("GET", f"/v1/chargeback?{query}", status=400)


@pytest.mark.parametrize(
    ("query", "accept", "media_type"),
    [
        ("", "*/*", "application/json"),
        ("", "text/csv", "text/csv"),
        ("", "text/html, text/markdown;q=0.5, text/csv;q=0.9", "text/csv"),
        ("", "text/csv;q=0, text/markdown", "text/markdown"),
        ("&format=markdown", "text/csv", "text/markdown"),
        ("&format=json", "text/csv", "application/json"),
    ],
)
def test_the_report_comes_as_it_is_asked_for(
    spent: Plane, query: str, accept: str, media_type: str
) -> None:
    answer = spent.operator.http.get(
        f"/v1/chargeback?period={_month(spent)}{query}", headers={"accept": accept}
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].partition(";")[0] == media_type


def test_the_report_is_written_from_the_command_line(spent: Plane, tmp_path: Path) -> None:
    file = tmp_path / "report.csv"
    asked = ("--period", _month(spent), "--by", "team,model")
    ended = on(spent, "spending", "report", *asked, "--format", "csv", "-o", str(file))
    assert ended.code == 0, ended.err
    table = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    rows = list(csv.DictReader(io.StringIO("\n".join(table))))
    assert [row["cost"] for row in rows] == ["$0.75", "$0.25", "$1.00"]
    shown = json.loads(on(spent, "spending", "report", *asked, "--json").out)
    assert shown["total"]["cost_micros"] == 1_000_000
    assert "| finance-ops | small-fast |" in on(spent, "spending", "report", *asked).out
    wrong = on(spent, "spending", "report", "--period", "soon")
    assert wrong.code == exits.REFUSED
    assert "2026-W47" in wrong.err


def test_the_commands_print_what_was_spent_and_the_calls_behind_it(spent: Plane) -> None:
    table = on(spent, "spending", "--by", "project").out.splitlines()
    assert table[0].split()[:4] == ["PROJECT", "COST", "SHARE", "BEFORE"]
    assert table[1].split()[:2] == ["-", "$1.00"]
    runs = on(spent, "spending", "runs").out
    assert "fewer than 20 runs" in runs
    dearest = on(spent, "decisions", "--order", "dearest", "--cost", "0.5").out.splitlines()
    assert len(dearest) == 2
    assert "$0.75" in dearest[1]
    of = on(spent, "decisions", "--of", "team=research", "--json")
    assert [row["agent"] for row in json.loads(of.out)["rows"]] == ["reader"]
    assert on(spent, "decisions", "--of", "colour=red").code == exits.USAGE
    before = on(spent, "decisions", "--until", "2020-01-01", "--json")
    assert json.loads(before.out)["rows"] == []
    assert (
        on(spent, "spending", "--since", "2020-01-01", "--by", "project").out.splitlines() == table
    )
    assert on(spent, "decisions", "--cost", "much").code == exits.REFUSED


def test_who_reads_in_one_team_only_is_told_of_that(spent: Plane) -> None:
    grace = spent.caller(spent.issue_token("grace"))
    found = grace.get("/v1/spending", by="team")
    assert [row["name"] for row in found["rows"]] == ["research"]
    assert found["total"]["cost_micros"] == 250_000
    report = grace.get("/v1/chargeback", period=_month(spent), by="agent")
    assert report["teams"] == ["research"]
    assert [row["names"] for row in report["rows"]] == [{"agent": "reader"}]
    assert [row["agent"] for row in grace.get("/v1/run-costs")["rows"]] == ["reader"]
    assert [row["agent"] for row in grace.get("/v1/decisions")["rows"]] == ["reader"]
    assert grace.get("/v1/spending", team="finance-ops")["total"]["calls"] == 0


def _month(plane: Plane) -> str:
    now = plane.operator.get("/v1/status")["now"]
    return datetime.fromtimestamp(now // 1_000_000, UTC).strftime("%Y-%m")
