"""What becomes of a request beside votes, on a real plane: each state, each refusal, each word."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.handling_ground import (
    REFUND,
    TOOL,
    act,
    edit,
    grace,
    refused,
    run,
    show,
    world_plane,
)
from tests.rig.agent import Run
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.world import agent_document

__all__ = ["run", "world_plane"]


def test_changes_refuse_this_call_and_the_next_one_is_linked(world_plane: Plane, run: Run) -> None:
    first = run.decide(TOOL, REFUND)["request"]
    digest = show(world_plane, first)["digest"]
    problem = refused(world_plane, first, "votes", 403, verdict="changes", digest=digest)
    assert problem["code"] == "reason_required"
    act(world_plane, first, "votes", verdict="changes", digest=digest, reason="split it in two")
    found = show(world_plane, first)
    assert (found["state"], found["decided_why"]) == ("denied", "split it in two")
    no = run.decide(TOOL, REFUND)
    assert no["verdict"] == "deny"
    assert no["reason"].startswith("changes requested by person/")
    assert "split it in two" in no["reason"]
    assert "another call" in no["allowed_instead"]
    second = run.decide(TOOL, {**REFUND, "amount_usd": 250})["request"]
    assert show(world_plane, second)["supersedes"] == first
    third = run.decide(TOOL, {**REFUND, "amount_usd": 260})["request"]
    assert show(world_plane, third)["supersedes"] is None
    assert "asks another way" in show(world_plane, first)["timeline"][-1]["text"]


def test_a_contract_that_changes_leaves_no_request_behind(world_plane: Plane, run: Run) -> None:
    first = run.decide(TOOL, REFUND)["request"]
    world_plane.apply(agent_document(hold_seconds=1))
    second = run.decide(TOOL, REFUND)["request"]
    assert second != first
    old, new = show(world_plane, first), show(world_plane, second)
    assert (old["state"], old["superseded_by"]) == ("superseded", second)
    assert (new["state"], new["supersedes"]) == ("pending", first)
    # other arguments are another call: theirs stays
    other = run.decide(TOOL, {**REFUND, "amount_usd": 500})["request"]
    world_plane.apply(agent_document(hold_seconds=2))
    act(world_plane, second, "votes", verdict="approve", digest=new["digest"], reason="ok")
    third = run.decide(TOOL, REFUND)["request"]
    assert show(world_plane, second)["state"] == "superseded"
    assert show(world_plane, third)["state"] == "pending"
    assert show(world_plane, other)["state"] == "pending"


def test_an_agent_cancels_its_own_request_only(world_plane: Plane, run: Run) -> None:
    request = run.decide(TOOL, REFUND)["request"]
    other = run.agent.open_run(on_behalf_of="customer/bob")
    path = f"/v1/requests/{request}/cancel"
    assert other.caller.problem("POST", path, status=404)["code"] == "not_found"
    world_plane.operator.problem("POST", path, status=401)
    for _ in range(2):
        assert run.caller.post(path) == {"request": request, "state": "cancelled"}
    assert show(world_plane, request)["state"] == "cancelled"
    again = run.decide(TOOL, REFUND)["request"]
    assert again != request
    stands = edit(world_plane, again, amount_usd=300)["request"]
    assert run.caller.post(f"/v1/requests/{again}/cancel")["request"] == stands
    assert show(world_plane, stands)["state"] == "cancelled"
    denied = run.decide(TOOL, {**REFUND, "amount_usd": 600})["request"]
    digest = show(world_plane, denied)["digest"]
    act(world_plane, denied, "votes", verdict="reject", digest=digest, reason="no")
    late = run.caller.problem("POST", f"/v1/requests/{denied}/cancel", status=409)
    assert late["code"] == "already_decided"


def test_an_approval_is_taken_back_before_it_is_used_only(world_plane: Plane, run: Run) -> None:
    request = run.decide(TOOL, REFUND)["request"]
    digest = show(world_plane, request)["digest"]
    assert refused(world_plane, request, "take-back", 409)["code"] == "not_approved"
    act(world_plane, request, "votes", verdict="approve", digest=digest, reason="ok")
    assert act(world_plane, request, "take-back", reason="wrong one")["state"] == "revoked"
    again = run.decide(TOOL, REFUND)
    assert again["verdict"] == "hold"
    digest = show(world_plane, again["request"])["digest"]
    act(world_plane, again["request"], "votes", verdict="approve", digest=digest, reason="ok")
    assert run.decide(TOOL, REFUND)["verdict"] == "permit"
    late = refused(world_plane, again["request"], "take-back", 409)
    assert late["code"] == "already_used"


def test_breaking_the_glass_is_reviewed_by_another_or_not_done_again(
    world_plane: Plane, run: Run
) -> None:
    world_plane.apply("risk: {name: critical, break_glass: false}")
    request = run.decide(TOOL, REFUND)["request"]
    digest = show(world_plane, request)["digest"]
    refused(world_plane, request, "break-glass", 400, digest=digest)
    stale = refused(world_plane, request, "break-glass", 409, digest="sha256:0", reason="fire")
    assert stale["code"] == "stale_digest"
    nobody = grace(world_plane).problem(
        "POST", f"/v1/requests/{request}/break-glass", {"digest": digest, "reason": "fire"},
        status=403,
    )  # fmt: skip
    assert nobody["rule"] == "permission/break-glass"
    done = act(world_plane, request, "break-glass", digest=digest, reason="fire")
    assert (done["state"], done["break_glass"], done["reviewed_by"]) == ("approved", True, None)
    assert done["grant_expires_at"] - done["decided_at"] == 120_000_000
    assert done["review_due_at"] - done["decided_at"] == 86_400_000_000
    assert [vote["verdict"] for vote in done["votes"]] == ["break-glass"]
    permitted = run.decide(TOOL, REFUND)
    assert permitted["verdict"] == "permit"
    run.settle(permitted["decision"])

    waits = world_plane.operator.get("/v1/requests", state="review")["rows"]
    assert [row["request"] for row in waits] == [request]
    needs = world_plane.operator.get("/v1/watch")["rows"]
    (need,) = [one for one in needs if one["need"] == f"review/{request}"]
    assert "broke the glass" in need["text"]
    own = refused(world_plane, request, "review", 403, verdict="justified", note="I was right")
    assert own["code"] == "separation_of_duties"
    world_plane.advance(86_401)
    (late,) = world_plane.events(type="breakglass.overdue")
    assert late["request"] == request
    fresh = run.agent.open_run(on_behalf_of="customer/ada")
    second = fresh.decide(TOOL, REFUND)["request"]
    digest = show(world_plane, second)["digest"]
    barred = refused(world_plane, second, "break-glass", 403, digest=digest, reason="again")
    assert barred["code"] == "review_overdue"
    assert request in barred["message"]
    found = grace(world_plane).post(
        f"/v1/requests/{request}/review", {"verdict": "justified", "note": "there was a fire"}
    )
    assert (found["reviewed_by"], found["review_verdict"]) == ("person/grace", "justified")
    twice = grace(world_plane).problem(
        "POST", f"/v1/requests/{request}/review", {"verdict": "justified", "note": "x"}, status=409
    )
    assert twice["code"] == "already_reviewed"
    assert world_plane.operator.get("/v1/requests", state="review")["rows"] == []
    assert act(world_plane, second, "break-glass", digest=digest, reason="again")["break_glass"]


def test_a_risk_class_may_forbid_breaking_the_glass(world_plane: Plane, run: Run) -> None:
    world_plane.apply("risk: {name: high, break_glass: false}")
    request = run.decide(TOOL, REFUND)["request"]
    digest = show(world_plane, request)["digest"]
    no = refused(world_plane, request, "break-glass", 403, digest=digest, reason="fire")
    assert (no["code"], no["rule"]) == ("break_glass_refused", "risk/high/break_glass")


def test_comments_are_told_to_everybody_and_bounded(world_plane: Plane, run: Run) -> None:
    request = run.decide(TOOL, REFUND)["request"]
    act(world_plane, request, "comments", text="is this the right charge?")
    found = grace(world_plane).post(f"/v1/requests/{request}/comments", {"text": "yes"})
    assert [one["text"] for one in found["comments"]] == ["is this the right charge?", "yes"]
    assert found["timeline"][-1]["text"] == "person/grace says: yes"
    refused(world_plane, request, "comments", 400, text="")


def test_hidden_and_look_alike_characters_are_named(world_plane: Plane, run: Run) -> None:
    reason = "refund for p\u0430ypal\u202e, all of it"
    request = run.decide(TOOL, {**REFUND, "reason": reason})["request"]
    odd = show(world_plane, request)["suspicious"]
    assert odd == [
        "reason: U+202E RIGHT-TO-LEFT OVERRIDE at 18 cannot be seen as such",
        "reason: U+0430 CYRILLIC SMALL LETTER A at 13 looks like another letter",
    ]


def test_the_whole_life_is_told_in_words(world_plane: Plane, run: Run) -> None:
    held = run.decide(TOOL, REFUND)
    request, caller = held["request"], grace(world_plane)
    seen = caller.get(f"/v1/requests/{request}")
    caller.post(f"/v1/requests/{request}/comments", {"text": "looking"})
    caller.post(f"/v1/requests/{request}/acknowledge", {"seconds": 60})
    world_plane.advance(500)
    caller.post(
        f"/v1/requests/{request}/votes",
        {"verdict": "approve", "digest": seen["digest"], "reason": "paid twice"},
    )
    run.settle(run.decide(TOOL, REFUND)["decision"], error="slow")
    timeline = show(world_plane, request)["timeline"]
    types = [entry["type"] for entry in timeline]
    for type_ in (
        "request.created", "request.viewed", "request.commented", "request.acknowledged",
        "request.reminded", "request.escalated", "vote.cast", "request.approved",
        "grant.redeemed", "decision.permitted", "outcome.recorded", "request.succeeded",
    ):  # fmt: skip
        assert type_ in types, type_
    assert timeline[0]["text"].startswith("clerk asks finance-ops: ")
    assert "(grace" in timeline[0]["text"]
    for entry in timeline:
        words = entry["text"]
        assert len(words.split()) > 2, entry
        assert entry["type"].replace(".", " ") not in words, f"not in words: {entry}"


def _hang_up(run: Run, arguments: dict[str, Any]) -> None:
    import httpx

    with pytest.raises(httpx.TimeoutException):
        httpx.post(
            f"{run.agent.plane.url}/v1/decide",
            params={"wait_seconds": 60},
            json={"kind": "tool", "name": TOOL, "arguments": arguments},
            headers={"authorization": f"Bearer {run.token}"},
            timeout=0.5,
            trust_env=False,
        )


def test_a_caller_that_hangs_up_is_missed_until_it_asks_again(world_plane: Plane, run: Run) -> None:
    _hang_up(run, REFUND)

    def missed() -> str | None:
        rows = world_plane.operator.get("/v1/requests")["rows"]
        return str(rows[0]["request"]) if rows and rows[0]["caller_gone"] else None

    request = eventually(missed, "the caller is missed")
    told = [entry["text"] for entry in show(world_plane, request)["timeline"]]
    assert "the caller hung up; nothing runs until it asks again" in told
    run.decide(TOOL, REFUND)
    assert show(world_plane, request)["caller_gone"] is False
    _hang_up(run, REFUND)
    eventually(missed, "the caller is missed again")
    digest = show(world_plane, request)["digest"]
    act(world_plane, request, "votes", verdict="approve", digest=digest, reason="ok")
    assert show(world_plane, request)["state"] == "approved"
    assert run.decide(TOOL, REFUND)["verdict"] == "permit"
    assert show(world_plane, request)["caller_gone"] is False
