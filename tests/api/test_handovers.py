"""Shift hand-over: generated, edited, kept as it is, acknowledged by somebody else, never lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.rig.agent import Agent
from tests.rig.caller import Caller
from tests.rig.plane import Plane
from tests.rig.world import POLICY, budget_document, world

Body = dict[str, Any]
HOUR = 3600
SECOND = 1_000_000

PEOPLE = """
person: {name: ada, operates: [{role: approver}], aliases: [ada-l]}
---
person: {name: bob, operates: [{role: approver}]}
---
person: {name: carol, operates: [{role: viewer}]}
---
role: {name: finance-ops, members: [owner, ada, bob]}
---
role: {name: night-ops, schedules: [nights]}
"""


def rota(starts: datetime) -> str:
    """Return a schedule of ada and bob by turns of twelve hours."""
    text = starts.strftime("%Y-%m-%dT%H:%M")
    return (
        "schedule:\n  name: nights\n  zone: UTC\n  layers:\n    - {name: first, "
        f"people: [ada, bob], rotation: hourly, every: 12, starts: '{text}'}}\n"
    )


@dataclass(frozen=True)
class Ground:
    """A plane with a role without a schedule, and a schedule that has just begun."""

    plane: Plane
    agent: Agent
    began: int

    def person(self, name: str, role: str = "approver") -> Caller:
        issued = {"person": name, "permission": role}
        return self.plane.caller(self.plane.operator.post("/v1/persons/tokens", issued)["token"])

    def hold(self, amount: int = 250, charge: str = "ch_81") -> str:
        arguments = {"charge_id": charge, "amount_usd": amount}
        held = self.agent.open_run().decide("books.create_refund", arguments)
        return str(held["request"])

    def vote(self, request: str, verdict: str) -> None:
        seen = self.plane.operator.get(f"/v1/requests/{request}")
        body = {"verdict": verdict, "digest": seen["digest"], "reason": "because"}
        self.person("bob").post(f"/v1/requests/{request}/votes", body)

    def needs(self, who: Caller) -> list[Body]:
        rows = who.get("/v1/watch")["rows"]
        return [row for row in rows if row["kind"] == "handover"]

    def events(self, handover: str) -> list[str]:
        subject = f"handover/{handover}"
        return [event["type"] for event in self.plane.events() if event["subject"] == subject]


def section(draft: Body, part: str) -> Body:
    (found,) = [one for one in draft["sections"] if one["part"] == part]
    return dict(found)


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    plane = Plane(tmp_path / "plane", clock="frozen").start()
    try:
        now = plane.operator.get("/v1/status")["now"]
        starts = datetime.fromtimestamp(now / SECOND, UTC).replace(second=0, microsecond=0)
        plane.apply(*world(), policies__cedar=POLICY)
        plane.apply(PEOPLE, rota(starts))
        yield Ground(plane, plane.enrol("clerk"), round(starts.timestamp()) * SECOND)
    finally:
        plane.close()


def test_a_draft_says_what_the_shift_saw(ground: Ground) -> None:
    ground.plane.apply(budget_document("calls", "all", "day", tool_calls=1))
    open_, refused, again, approved = (ground.hold(250 + n, f"ch_{n}") for n in range(4))
    ground.vote(refused, "reject")
    ground.vote(again, "reject")
    ground.vote(approved, "approve")
    lock = {"target": {"kind": "tool", "name": "books.fail"}, "mode": "pause"}
    locked = ground.plane.operator.post("/v1/locks", {**lock, "reason": "look *here*"})
    ground.plane.advance(60)
    draft = ground.person("ada").get("/v1/handovers/draft", role="finance-ops")

    assert [item["id"] for item in section(draft, "open")["items"]] == [open_]
    decided = section(draft, "decided")
    assert decided["total"] == 3
    assert "2 rejected" in decided["summary"]
    assert "bob 3" in decided["summary"]
    assert {item["id"] for item in decided["items"]} == {refused, again, approved}
    assert [item["id"] for item in section(draft, "locks")["items"]] == [locked["lock"]]
    assert section(draft, "budgets")["items"] == []
    told = section(draft, "watch-out")["items"]
    assert any("refused clerk 2 times" in item["text"] for item in told)
    for item in (open_, refused, locked["lock"]):
        assert f"`{item}`" in draft["text"]
    # what others wrote is no markup
    assert r"look \*here\*" in draft["text"]
    # another role's watch does not answer for these
    other = ground.plane.operator.get("/v1/handovers/draft", role="night-ops")
    assert section(other, "open")["total"] == 0


def test_late_expired_and_unknown_ends_are_named(ground: Ground) -> None:
    expired, late = ground.hold(), ""
    ground.plane.advance(890)
    late = ground.hold(260)
    ground.plane.advance(310)
    draft = ground.plane.operator.get("/v1/handovers/draft", role="finance-ops")
    (open_item,) = section(draft, "open")["items"]
    assert (open_item["id"], open_item["pressing"]) == (late, True)
    assert "level 2" in open_item["text"]
    ended = section(draft, "ended")
    assert [item["id"] for item in ended["items"]] == [expired]


def test_without_a_schedule_it_goes_back_to_the_last_one_or_twelve_hours(ground: Ground) -> None:
    ada, status = ground.person("ada"), ground.plane.operator.get("/v1/status")
    draft = ada.get("/v1/handovers/draft", role="finance-ops")
    assert draft["since"] == status["now"] - 12 * HOUR * SECOND
    assert set(draft["next"]) == {"bob", "owner"}
    given = ada.post("/v1/handovers", {"role": "finance-ops", "text": "all quiet"})
    ground.plane.advance(HOUR)
    later = ground.person("bob").get("/v1/handovers/draft", role="finance-ops")
    assert later["since"] == given["given_at"]


def test_a_shift_says_since_when_and_who_is_next(ground: Ground) -> None:
    ground.plane.advance(5 * HOUR)
    ada = ground.person("ada")
    draft = ada.get("/v1/handovers/draft", schedule="nights")
    assert draft["since"] == ground.began
    assert draft["due_at"] == ground.began + 12 * HOUR * SECOND
    assert draft["next"] == ["bob"]
    # the role that the schedule covers has the same watch
    role = ada.get("/v1/handovers/draft", role="night-ops")
    assert (role["since"], role["due_at"], role["next"]) == (
        draft["since"], draft["due_at"], draft["next"],
    )  # fmt: skip
    # nobody has to say which: ada is on call in one schedule
    assert ada.get("/v1/handovers/draft")["schedule"] == "nights"
    given = ada.post("/v1/handovers", {"schedule": "nights", "text": "quiet"})
    bob, carol = ground.person("bob"), ground.person("carol", "viewer")
    assert [need["subject"] for need in ground.needs(bob)] == [given["handover"]]
    assert ground.needs(carol) == []
    bob.post(f"/v1/handovers/{given['handover']}/acknowledge", {"digest": given["digest"]})
    ground.plane.advance(8 * HOUR)
    assert ground.events(given["handover"]) == ["handover.given", "handover.acknowledged"]


def test_what_is_given_is_kept_as_it_is(ground: Ground) -> None:
    ada, request = ground.person("ada"), ground.hold()
    draft = ada.get("/v1/handovers/draft", role="finance-ops")
    body = {
        "role": "finance-ops", "text": draft["text"], "draft": draft["digest"],
        "sequence": draft["sequence"],
    }  # fmt: skip
    plain = ada.post("/v1/handovers", body)
    edited = ada.post("/v1/handovers", {**body, "text": draft["text"] + "\nwatch clerk"})
    assert (plain["edited"], edited["edited"]) == (False, True)
    assert plain["sequence"] == draft["sequence"]
    assert plain["digest"] != edited["digest"]
    ground.vote(request, "reject")
    ground.plane.kill()
    ground.plane.restart()
    kept = ground.plane.operator.get(f"/v1/handovers/{edited['handover']}")
    assert kept["text"].endswith("watch clerk")
    assert kept["digest"] == edited["digest"]
    assert [item["id"] for item in section(kept, "open")["items"]] == [request]
    listed = ground.plane.operator.get("/v1/handovers", limit=1)
    assert [row["handover"] for row in listed["rows"]] == [edited["handover"]]
    after = ground.plane.operator.get("/v1/handovers", limit=1, after=listed["next"])
    assert [row["handover"] for row in after["rows"]] == [plain["handover"]]
    acknowledged = ground.plane.operator.get("/v1/handovers", state="acknowledged")
    assert acknowledged["rows"] == []


def test_only_somebody_else_of_the_watch_takes_over_and_only_once(ground: Ground) -> None:
    ada, bob = ground.person("ada"), ground.person("bob")
    given = ada.post("/v1/handovers", {"role": "finance-ops", "text": "quiet"})
    path, body = f"/v1/handovers/{given['handover']}/acknowledge", {"digest": given["digest"]}
    for who in (ada, ground.person("ada-l"), ground.person("carol", "viewer")):
        problem = who.problem("POST", path, body, status=403)
        assert (problem["code"], problem["rule"]) == ("handover_not_yours", "handover/taker")
    stale = bob.problem("POST", path, {"digest": "sha256:" + "0" * 64}, status=409)
    assert stale["code"] == "stale_digest"
    taken = bob.post(path, {**body, "note": "thanks"})
    assert (taken["acknowledged_by"], taken["note"]) == ("bob", "thanks")
    again = ground.plane.operator.problem("POST", path, body, status=409)
    assert again["code"] == "already_acknowledged"
    # whom it is given to by name may take it over without a part in the watch
    named = ada.post("/v1/handovers", {"role": "finance-ops", "text": "quiet", "to": "carol"})
    carol = ground.person("carol", "viewer")
    carol.post(f"/v1/handovers/{named['handover']}/acknowledge", {"digest": named["digest"]})


def test_nobody_hands_over_what_is_not_theirs(ground: Ground) -> None:
    carol, ada = ground.person("carol", "viewer"), ground.person("ada")
    body = {"role": "finance-ops", "text": "quiet"}
    problem = carol.problem("POST", "/v1/handovers", body, status=403)
    assert problem["rule"] == "handover/giver"
    carol.problem("GET", "/v1/handovers/draft?role=finance-ops", status=403)
    carol.problem("GET", "/v1/handovers/draft", status=400)
    ada.problem("GET", "/v1/handovers/draft?role=none-such", status=404)
    ada.problem("GET", "/v1/handovers/draft?schedule=none-such", status=404)
    for to in ("ada", "ada-l"):
        ada.problem("POST", "/v1/handovers", {**body, "to": to}, status=400)
    ada.problem("POST", "/v1/handovers", {**body, "schedule": "nights"}, status=400)
    ada.problem("POST", "/v1/handovers", {**body, "text": "x" * 33_000}, status=400)


def test_a_watch_that_changed_hands_unread_is_on_watch_until_it_is_read(ground: Ground) -> None:
    ada, bob = ground.person("ada"), ground.person("bob")
    given = ada.post("/v1/handovers", {"schedule": "nights", "text": "quiet"})
    (early,) = ground.needs(bob)
    ground.plane.advance(12 * HOUR)
    bob, carol = ground.person("bob"), ground.person("carol", "viewer")
    (late,) = ground.needs(bob)
    assert late["score"] > early["score"]
    assert "nobody has acknowledged" in late["text"]
    (others,) = ground.needs(carol)
    assert not others["mine"]
    assert ground.events(given["handover"]) == ["handover.given", "handover.late"]
    assert ground.plane.operator.get(f"/v1/handovers/{given['handover']}")["late"]
    bob.post(f"/v1/handovers/{given['handover']}/acknowledge", {"digest": given["digest"]})
    assert ground.needs(bob) == []


def test_who_reads_in_one_team_only_sees_nothing_of_others(ground: Ground) -> None:
    request = ground.hold()
    given = ground.person("ada").post("/v1/handovers", {"role": "finance-ops", "text": "quiet"})
    ground.plane.apply(
        "person:\n  name: grace\n  operates: [{role: approver, teams: [other]}]\n",
    )
    grace = ground.person("grace")
    path = f"/v1/handovers/{given['handover']}"
    assert grace.get("/v1/handovers")["rows"] == []
    assert grace.problem("GET", path, status=404)["code"] == "not_found"
    ground.plane.advance(HOUR)
    assert ground.needs(grace) == []
    ground.plane.apply("role: {name: finance-ops, members: [owner, ada, bob, grace]}")
    assert grace.get(path)["mine"]
    draft = grace.get("/v1/handovers/draft", role="finance-ops")
    assert section(draft, "open")["total"] == 0
    assert request not in draft["text"]


def test_gaps_ahead_are_named(ground: Ground) -> None:
    began = datetime.fromtimestamp(ground.began / SECOND, UTC)
    ends = (began + timedelta(hours=24)).strftime("%Y-%m-%dT%H:%M")
    text = rota(began).replace("}\n", f", ends: '{ends}'}}\n")
    ground.plane.apply(text)
    draft = ground.person("ada").get("/v1/handovers/draft", schedule="nights")
    gaps = section(draft, "coverage")
    assert gaps["total"] == 1
    assert gaps["items"][0]["at"] == ground.began + 24 * HOUR * SECOND
