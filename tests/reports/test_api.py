"""Reports of a real plane: whose they are for, what they hold, and as commands write them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest

from tests.cli.command import on
from tests.rig.agent import Run
from tests.rig.plane import Plane
from tests.rig.world import POLICY, agent_document, world
from watchkeeper.cli import exits
from watchkeeper.wire.reports import Report, ReportKind

KIM = "user/Kim.Canary@people.example"
MAIL = "somebody@people.example"
TOOL = {
    "tool": {
        "name": "books.mail", "upstream": "books", "upstream_tool": "echo", "does": "Mails.",
        "access": "read", "risk": "low", "data": {"in": ["email"]},
    }
}  # fmt: skip
TEAMS = """
person: {name: fin, operates: [{role: auditor, teams: [finance-ops]}]}
---
person: {name: lex, operates: [{role: auditor, teams: [legal]}]}
"""


@dataclass(frozen=True)
class Ground:
    """A running plane with something to report."""

    plane: Plane
    run: Run

    def report(self, kind: str, caller: Any = None, **query: Any) -> Report:
        """Return a report of all there is."""
        asked = {"since": 0, "until": self.now() + 1, **query}
        return Report.model_validate(
            (caller or self.plane.operator).get(f"/v1/reports/{kind}", **asked)
        )

    def now(self) -> int:
        return int(self.plane.operator.get("/v1/status")["now"])

    def caller(self, person: str) -> Any:
        issued = {"person": person, "permission": "auditor"}
        return self.plane.caller(self.plane.operator.post("/v1/persons/tokens", issued)["token"])


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    directory = tmp_path_factory.mktemp("reports")
    anchor = directory / "elsewhere" / "checkpoints"
    plane = Plane(directory, clock="frozen", environ={"WATCHKEEPER_ANCHOR_FILE": str(anchor)})
    plane.start()
    try:
        clerk = agent_document("clerk", tools=("mail", "lookup_charge", "create_refund"))
        documents = [*world()[1:], clerk, json.dumps(TOOL), agent_document("scribe", owner="legal")]
        plane.apply(*documents, TEAMS, policies__cedar=POLICY)
        run = plane.enrol("clerk").open_run(on_behalf_of=KIM)
        asked = run.decide("books.mail", {"text": MAIL})
        run.settle(asked["decision"])
        plane.enrol("scribe").open_run()
        yield Ground(plane, run)
    finally:
        plane.close()


def rows(report: Report, title: str) -> list[tuple[Any, ...]]:
    return [row for one in report.sections if one.title == title for row in one.rows]


@pytest.mark.parametrize("kind", get_args(ReportKind))
def test_each_kind_is_made_in_each_form(ground: Ground, kind: str) -> None:
    asked = {"since": 0, "until": ground.now() + 1}
    for form, media_type in (
        ("html", "text/html"), ("markdown", "text/markdown"), ("csv", "text/csv"),
        ("json", "application/json"),
    ):  # fmt: skip
        answer = ground.plane.operator.http.get(
            f"/v1/reports/{kind}", params={**asked, "format": form}
        )
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith(media_type)
        assert answer.headers["content-disposition"] == "attachment"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.text


def test_what_is_personal_is_told_until_it_is_erased(ground: Ground) -> None:
    found = ground.report("access", data="email")
    (entry,) = [row for row in rows(found, "Entries") if row[10] == ground.run.id]
    assert entry[2:7] == ("email", "sent", "clerk", 1, "books.mail")
    assert entry[8] == KIM
    assert found.source.checkpoint is not None
    ground.run.close()
    ground.plane.operator.post("/v1/audit/erasures", {"subject": KIM, "reason": "asked for it"})
    after = ground.report("access", data="email")
    (entry,) = [row for row in rows(after, "Entries") if row[10] == ground.run.id]
    assert entry[8] == "[erased]"
    assert any("[erased]" in one for one in after.missing)
    assert KIM not in after.model_dump_json()


def test_who_audits_one_team_gets_what_is_of_it(ground: Ground) -> None:
    fin, lex = ground.caller("fin"), ground.caller("lex")
    mine, theirs = (ground.report("access", one) for one in (fin, lex))
    assert rows(mine, "Entries")
    assert not rows(theirs, "Entries")
    assert mine.teams == ("finance-ops",)
    assert any("no agent of these teams" in one for one in mine.missing)
    for kind in get_args(ReportKind):
        assert "clerk" not in ground.report(kind, lex).model_dump_json(), kind
    assert [row[3] for row in rows(ground.report("policies", lex), "Documents")] == ["scribe"]
    assert not rows(mine, "Documents")


def test_that_a_report_was_made_is_on_record(ground: Ground) -> None:
    ground.report("operators", ground.caller("fin"))
    (event, *_) = ground.plane.events(type="report.made")[::-1]
    assert (event["actor"], event["subject"]) == ("person/fin", "report/operators")
    assert event["text"].startswith("fin had a report made on operators from 1970-01-01")


def test_what_is_anchored_is_told_of_and_so_is_the_rest(ground: Ground) -> None:
    size = ground.plane.operator.post("/v1/audit/checkpoints")["size"]
    whole = ground.report("operators")
    # what came since may be anchored by now, too
    assert size <= whole.source.anchored
    assert whole.source.unanchored == max(0, whole.source.last - whole.source.anchored)
    covering = ground.plane.operator.get("/v1/audit/checkpoints")["rows"]
    assert whole.source.root in {row["root"] for row in covering}
    assert whole.source.size >= whole.source.last


@pytest.mark.parametrize(
    ("kind", "query", "said"),
    [
        ("gossip", {}, "there is no report"),
        ("access", {"until": 0}, "begins before it ends"),
        ("access", {"format": "pdf"}, "format must be one of"),
        ("access", {"data": "gossip"}, "data must be one of"),
        ("kills", {"data": "email"}, "only a report on access"),
        ("access", {"until": 10**18 - 1}, "begins before it ends"),
    ],
)
def test_what_is_no_report_is_refused(
    ground: Ground, kind: str, query: dict[str, Any], said: str
) -> None:
    asked = {"since": 0, "until": 5, **query}
    answer = ground.plane.operator.http.get(f"/v1/reports/{kind}", params=asked)
    assert answer.status_code == 400, answer.text
    assert said in answer.json()["message"]


def test_a_command_writes_a_file_that_nobody_else_reads(ground: Ground, tmp_path: Path) -> None:
    for name, begin in (
        ("it.csv", "# Period"), ("it.json", "{"), ("it", "<!doctype html>"),
    ):  # fmt: skip
        place = tmp_path / name
        ended = on(ground.plane, "report", "controls", "--from", "30d", "-o", str(place))
        assert ended.code == exits.OK, ended.err
        assert place.read_text().startswith(begin)
        assert place.stat().st_mode & 0o777 == 0o600
        assert ended.out == f"Written to {place}, {place.stat().st_size:,} bytes.\n"
    again = on(ground.plane, "report", "controls", "--from", "30d", "-o", str(tmp_path / "it"))
    assert again.code == exits.REFUSED
    assert "it is there already" in again.err
    late = str(tmp_path / "late")
    refused = on(ground.plane, "report", "kills", "--data", "email", "--from", "1d", "-o", late)
    assert refused.code == exits.REFUSED
    assert not list(tmp_path.glob("late*"))
