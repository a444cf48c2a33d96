"""Standing approvals and quality over the API of a real plane, kill -9 included."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.rig.plane import Plane
from tests.rig.world import POLICY, world

PEOPLE = """
role: {name: finance-ops, members: [owner, ada, grace]}
---
person: {name: ada, operates: [{role: approver}]}
---
person: {name: grace, operates: [{role: approver}]}
---
person: {name: eve, operates: [{role: auditor}]}
---
person: {name: vic, operates: [{role: viewer}]}
"""
ROLES = {"ada": "approver", "grace": "approver", "eve": "auditor", "vic": "viewer"}
MICROS = 1_000_000


class Ground:
    """A plane with approvers and one agent."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        documents = [text for text in world() if "name: finance-ops, members" not in text]
        others = [text for text in world() if "name: finance-ops, members" in text]
        rest = others[0].split("---\n", 1)[1]
        plane.apply(*documents, rest, PEOPLE, policy__cedar=POLICY)
        self.agent = plane.enrol("clerk")
        self.tokens = {
            person: plane.operator.post(
                "/v1/persons/tokens", {"person": person, "permission": role}
            )["token"]
            for person, role in ROLES.items()
        }

    def as_(self, person: str) -> Any:
        """The API as a person sees it."""
        return self.plane.caller(self.tokens[person])

    def refund(self, amount: float = 300, charge: str = "ch_1", note: str = "x") -> Any:
        arguments = {"charge_id": charge, "amount_usd": amount, "reason": note}
        return self.agent.open_run().decide("books.create_refund", arguments)

    def vote(self, request: str, person: str, verdict: str = "approve", **more: Any) -> Any:
        shown = self.as_(person).get(f"/v1/requests/{request}")
        body = {"verdict": verdict, "digest": shown["digest"], **more}
        return self.as_(person).post(f"/v1/requests/{request}/votes", body)

    def stands(self, uses: int = 5, total: int = 10_000) -> str:
        """One for refunds of ch_1 that ada proposed and grace approved."""
        proposed = self.as_("ada").post(
            "/v1/standing",
            {
                "agent": "clerk", "tool": "books.create_refund", "pins": {"charge_id": "ch_1"},
                "uses": uses, "seconds": 3600, "each_micros": 400 * MICROS,
                "total_micros": total * MICROS, "reason": "a known customer",
            },
        )  # fmt: skip
        assert (proposed["state"], proposed["groups"][0]["role"]) == ("proposed", "finance-ops")
        assert self.vote(proposed["request"], "grace")["state"] == "succeeded"
        return str(proposed["standing"])


@pytest.fixture
def ground(plane: Plane) -> Ground:
    return Ground(plane)


def test_it_is_proposed_approved_used_and_ended(ground: Ground) -> None:
    held = ground.refund()
    body = {"request": held["request"], "pin": ["charge_id"], "uses": 2, "seconds": 3600,
            "total_micros": 900 * MICROS, "reason": "a known customer"}  # fmt: skip
    proposed = ground.as_("ada").post("/v1/standing", body)
    assert (proposed["pins"], proposed["each_micros"]) == ({"charge_id": "ch_1"}, 300 * MICROS)
    own = ground.as_("ada").get(f"/v1/requests/{proposed['request']}")
    assert (own["kind"], own["standing"], own["mine"]) == ("standing", proposed["standing"], False)
    assert "ada" in own["why_not"]
    assert own["edits"] == {}
    assert own["deciding"]["break_glass"] is False
    ground.vote(proposed["request"], "grace", reason="fine")
    used = ground.refund()
    assert (used["verdict"], used["rule"]) == ("permit", f"standing/{proposed['standing']}")
    assert ground.refund(300.01)["verdict"] == "hold"
    assert ground.refund(charge="ch_2")["verdict"] == "hold"
    path = f"/v1/standing/{proposed['standing']}"
    ended = ground.as_("grace").post(f"{path}/end", {"reason": "enough"})
    assert (ended["state"], ended["uses"], ended["ended_why"]) == ("ended", 1, "enough")
    assert ground.refund()["verdict"] == "hold"
    assert ground.as_("vic").get(path)["used_micros"] == 300 * MICROS
    listed = ground.as_("vic").get("/v1/standing", state="all")["rows"]
    assert [row["standing"] for row in listed] == [proposed["standing"]]
    assert ground.as_("vic").get("/v1/standing")["rows"] == []
    ground.as_("vic").problem("POST", f"{path}/end", {"reason": "no"}, status=403)


def test_a_caller_that_waits_for_what_it_covers_goes_on(ground: Ground) -> None:
    run = ground.agent.open_run()
    arguments = {"charge_id": "ch_1", "amount_usd": 300}
    held = run.decide("books.create_refund", arguments)
    with ThreadPoolExecutor(1) as callers:
        waiting = callers.submit(run.decide, "books.create_refund", arguments, wait_seconds=30)
        name = ground.stands()
        answer = waiting.result(timeout=20)
    assert (answer["verdict"], answer["rule"]) == ("permit", f"standing/{name}")
    shown = ground.as_("vic").get(f"/v1/requests/{held['request']}")
    assert (shown["state"], shown["standing"]) == ("superseded", name)
    told = [entry["type"] for entry in shown["timeline"]]
    assert told[-2:] == ["request.covered", "request.superseded"]


def test_its_time_ends_it_by_itself(ground: Ground) -> None:
    name = ground.stands()
    ground.plane.advance(3600)
    shown = ground.as_("vic").get(f"/v1/standing/{name}")
    assert (shown["state"], shown["ended_why"]) == ("ended", "its time was over")
    ended = ground.plane.events(type="standing.ended")
    assert [one["subject"] for one in ended] == [f"standing/{name}"]


def test_killed_at_any_time_it_never_gives_more_than_was_granted(
    make_plane: Callable[..., Plane],
) -> None:
    plane = make_plane()
    ground = Ground(plane)
    name = ground.stands(uses=40)
    tokens = [ground.agent.open_run().token for _ in range(8)]
    permitted: list[str] = []

    def ask(http: httpx.Client, number: int) -> None:
        arguments = {"charge_id": "ch_1", "amount_usd": 210, "reason": f"n{number}"}
        body = {"kind": "tool", "name": "books.create_refund", "arguments": arguments}
        headers = {"authorization": f"Bearer {tokens[number % 8]}"}
        try:
            answer = http.post("/v1/decide", json=body, headers=headers).json()
        except httpx.HTTPError:
            return  # the plane was killed
        if answer.get("verdict") == "permit":
            permitted.append(answer["decision"])

    for begin in (0, 12, 24):
        with (
            httpx.Client(base_url=plane.url, trust_env=False) as http,
            ThreadPoolExecutor(8) as callers,
        ):
            asked = [callers.submit(ask, http, begin + n) for n in range(12)]
            asked[5].result()
            plane.kill()
        plane.restart()
    shown = plane.operator.get(f"/v1/standing/{name}")
    assert 0 < len(permitted) <= shown["uses"] <= 40
    with (
        httpx.Client(base_url=plane.url, trust_env=False) as http,
        ThreadPoolExecutor(8) as callers,
    ):
        list(callers.map(lambda number: ask(http, number), range(36, 96)))
    after = plane.operator.get(f"/v1/standing/{name}")
    assert (after["state"], after["uses"]) == ("ended", 40)
    assert len(permitted) == len(set(permitted))
    recorded = plane.operator.get("/v1/decisions", verdict="permit", limit=500)["rows"]
    under = [row["decision"] for row in recorded if row["rule"] == f"standing/{name}"]
    assert len(under) == 40
    assert set(permitted) <= set(under)


def test_decisions_are_judged_by_others_and_counted(ground: Ground) -> None:
    requests = [ground.refund(note=f"n{n}")["request"] for n in range(6)]
    ground.as_("ada").problem(
        "POST", f"/v1/requests/{requests[0]}/judgements", {"verdict": "right"}, status=409
    )
    for number, request in enumerate(requests):
        ground.plane.advance(10)
        ground.vote(request, "ada", view_seconds=0.1 if number < 2 else 60)
    path = f"/v1/requests/{requests[0]}/judgements"
    own = ground.as_("ada").problem("POST", path, {"verdict": "right"}, status=403)
    assert own["rule"] == "judgement/own-vote"
    viewer = ground.as_("vic").problem("POST", path, {"verdict": "right"}, status=403)
    assert viewer["rule"] == "judgement/permission"
    ground.as_("eve").post(path, {"verdict": "right"})
    shown = ground.as_("eve").post(path, {"verdict": "wrong", "note": "a duplicate"})
    assert [(one["person"], one["verdict"]) for one in shown["judgements"]] == [
        ("person/eve", "wrong")
    ]
    found = ground.as_("vic").get("/v1/requests/quality", by="person")
    rows = {row["name"]: row for row in found["rows"]}
    assert list(rows) == sorted(rows)
    ada = rows["ada"]
    assert (ada["decisions"], ada["approved"], ada["enough"]) == (6, 6, True)
    assert (ada["timed"], ada["unread_share"]) == (6, 2 / 6)
    assert (ada["judged"], ada["wrong"], ada["overridden_share"]) == (1, 1, 1 / 6)
    assert 10 <= ada["decide_seconds_median"] <= 60
    roles = ground.as_("vic").get("/v1/requests/quality")["rows"]
    (role,) = [row for row in roles if row["name"] == "finance-ops"]
    assert (role["requests"], role["expired_share"]) == (6, 0)
    late = ground.as_("vic").get("/v1/requests/quality", since=1, until=2)
    assert late["everything"]["decisions"] == 0
    ground.as_("vic").problem("GET", "/v1/requests/quality?since=2&until=2", status=400)


def test_hints_say_what_may_stand_until_it_does(ground: Ground) -> None:
    requests = [ground.refund(note=f"n{n}")["request"] for n in range(6)]
    waiting = ground.as_("vic").get("/v1/requests/hints")["rows"]
    assert [(hint["kind"], hint["count"]) for hint in waiting] == [("group", 6)]
    for request in requests:
        ground.vote(request, "ada")
    (hint,) = ground.as_("vic").get("/v1/requests/hints")["rows"]
    assert (hint["kind"], hint["count"]) == ("standing", 6)
    assert (hint["pins"], hint["each_micros"]) == (
        {"amount_usd": 300, "charge_id": "ch_1"}, 300 * MICROS,
    )  # fmt: skip
    ground.stands()
    assert ground.as_("vic").get("/v1/requests/hints")["rows"] == []
    request = ground.refund(charge="ch_9")["request"]
    shown = ground.as_("vic").get(f"/v1/requests/{request}")
    assert shown["alike"] == hint["alike"]


def test_a_rejection_ends_the_hint(ground: Ground) -> None:
    requests = [ground.refund(note=f"n{n}")["request"] for n in range(6)]
    for number, request in enumerate(requests):
        ground.vote(request, "ada", "approve" if number else "reject", reason="why")
    assert ground.as_("vic").get("/v1/requests/hints")["rows"] == []
