"""What an approver narrows, on a real plane: what the agent is told, what may run, what may not."""

from __future__ import annotations

from tests.api.handling_ground import (
    REFUND,
    TOOL,
    edit,
    grace,
    refused,
    run,
    show,
    world_plane,
)
from tests.rig.agent import Run
from tests.rig.plane import Plane
from tests.rig.world import TOOLS

__all__ = ["run", "world_plane"]


def test_an_agent_that_performs_itself_is_told_what_to_send_and_may_then(
    world_plane: Plane, run: Run
) -> None:
    held = run.decide(TOOL, REFUND)
    seen = show(world_plane, held["request"])
    assert seen["edits"] == {"amount_usd": "lower"}
    stands = edit(world_plane, held["request"], amount_usd=300)
    assert (stands["state"], stands["approvals"]) == ("approved", 1)
    assert stands["supersedes"] == held["request"]
    assert stands["decide_by"] == seen["decide_by"]
    assert [vote["verdict"] for vote in stands["votes"]] == ["approve"]
    before = show(world_plane, held["request"])
    assert (before["state"], before["superseded_by"]) == ("superseded", stands["request"])

    answer = run.decide(TOOL, REFUND)
    assert (answer["verdict"], answer["rule"]) == ("deny", f"approval/{stands['request']}")
    assert "amount_usd 300, not 400" in answer["reason"]
    assert '{"amount_usd":300,"charge_id":"ch_1"}' in answer["allowed_instead"]
    exact = answer["narrowed"]["arguments"]
    assert exact == {"charge_id": "ch_1", "amount_usd": 300}

    other = run.decide(TOOL, {**exact, "amount_usd": 299})
    assert other["verdict"] == "hold"
    permitted = run.decide(TOOL, exact)
    assert (permitted["verdict"], permitted["request"]) == ("permit", stands["request"])
    run.settle(permitted["decision"])
    assert show(world_plane, stands["request"])["state"] == "succeeded"
    # it worked once: the first call is asked anew, as any other would be
    assert run.decide(TOOL, REFUND)["verdict"] == "hold"
    assert run.decide(TOOL, exact)["replay"]["status"] == "succeeded"


def test_while_the_narrowed_request_waits_the_agents_call_waits_for_it(
    world_plane: Plane, run: Run
) -> None:
    world_plane.apply(TWO_OF_OPS)
    held = run.decide(TOOL, REFUND)
    digest = show(world_plane, held["request"])["digest"]
    ballot = {"verdict": "approve", "digest": digest, "reason": "ok"}
    grace(world_plane).post(f"/v1/requests/{held['request']}/votes", ballot)
    stands = edit(world_plane, held["request"], amount_usd=300)
    # what grace approved was more, and does not count for this
    assert (stands["state"], stands["approvals"], stands["quorum"]) == ("pending", 1, 2)
    assert [vote["person"] for vote in stands["votes"]] == ["person/root"]
    waiting = run.decide(TOOL, REFUND)
    assert (waiting["verdict"], waiting["request"]) == ("hold", stands["request"])
    assert waiting["expires_at"] == stands["decide_by"]
    polled = run.caller.get(f"/v1/decide/{held['request']}")
    assert (polled["state"], polled["verdict"]) == ("superseded", "hold")
    assert polled["superseded_by"] == stands["request"]
    again = edit(world_plane, stands["request"], amount_usd=250)
    deeper = run.decide(TOOL, REFUND)
    assert deeper["request"] == again["request"]
    assert [(one["before"], one["after"]) for one in deeper["narrowed"]["changes"]] == [(400, 250)]
    grace(world_plane).post(
        f"/v1/requests/{again['request']}/votes",
        {"verdict": "reject", "digest": again["digest"], "reason": "nothing at all"},
    )
    no = run.decide(TOOL, REFUND)
    assert (no["verdict"], no["rule"]) == ("deny", f"approval/{again['request']}")
    assert run.caller.get(f"/v1/decide/{held['request']}")["verdict"] == "deny"
    assert "nothing at all" in no["reason"]


TWO_OF_OPS = TOOLS.split("---")[1].replace(
    "  amount_usd: amount_usd\n",
    "  amount_usd: amount_usd\n  approval: {role: finance-ops, quorum: 2 of finance-ops}\n",
)


def test_what_is_no_narrowing_changes_nothing(world_plane: Plane, run: Run) -> None:
    request = run.decide(TOOL, REFUND)["request"]
    seen = show(world_plane, request)
    for change, status, rule in (
        ({"amount_usd": 401}, 400, "approval/narrowing"),
        ({"charge_id": "ch_2"}, 400, "approval/narrowing"),
        ({"extra": 1}, 400, "approval/narrowing"),
        ({}, 400, "approval/narrowing"),
        ({"amount_usd": 0}, 403, f"tool/{TOOL}/schema"),
    ):
        problem = refused(
            world_plane, request, "edit", status,
            digest=seen["digest"], arguments={**REFUND, **change},
        )  # fmt: skip
        assert problem["rule"] == rule
    stale = refused(
        world_plane, request, "edit", 409,
        digest="sha256:0", arguments={**REFUND, "amount_usd": 1},
    )  # fmt: skip
    assert stale["code"] == "stale_digest"
    assert show(world_plane, request)["state"] == "pending"
    assert len(world_plane.operator.get("/v1/requests", state="all")["rows"]) == 1


def test_where_votes_are_signed_so_is_the_one_on_what_was_narrowed(
    world_plane: Plane, run: Run
) -> None:
    world_plane.apply("risk: {name: high, signed: true}")
    request = run.decide(TOOL, REFUND)["request"]
    stands = edit(world_plane, request, amount_usd=300)
    assert (stands["state"], stands["votes"], stands["mine"]) == ("pending", [], True)
    body = {"digest": stands["digest"], "reason": "fire"}
    for what, more in (("votes", {"verdict": "approve"}), ("break-glass", {})):
        no = refused(world_plane, stands["request"], what, 403, **body, **more)
        assert no["code"] == "signature_required"


def test_a_narrowing_that_needs_somebody_who_was_not_asked_is_refused(
    world_plane: Plane, run: Run
) -> None:
    world_plane.apply(small__cedar=SMALL)
    request = run.decide(TOOL, REFUND)["request"]
    seen = show(world_plane, request)
    arguments = {**REFUND, "amount_usd": 40}
    no = refused(
        world_plane, request, "edit", 403, digest=seen["digest"], arguments=arguments
    )  # fmt: skip
    assert (no["code"], no["rule"]) == ("narrowed_refused", "policy/small-refunds-are-audited")
    assert "deputies" in no["message"]
    assert edit(world_plane, request, amount_usd=250)["state"] == "approved"


SMALL = """
@id("small-refunds-are-audited")
@message("Small refunds hide in the noise.")
@obligation("require_approval")
@approver_role("deputies")
forbid (principal, action == Action::"use_tool", resource == Tool::"books.create_refund")
when { context.amount_micros < 100000000 }
unless { context.approvals.contains("deputies") };
"""


def test_a_kill_between_approval_and_call_loses_and_repeats_nothing(
    world_plane: Plane, run: Run
) -> None:
    held = run.decide(TOOL, REFUND)
    stands = edit(world_plane, held["request"], amount_usd=300)
    world_plane.kill()
    world_plane.restart()
    assert run.decide(TOOL, REFUND)["narrowed"]["request"] == stands["request"]
    exact = {**REFUND, "amount_usd": 300}
    permitted = run.decide(TOOL, exact)
    assert permitted["verdict"] == "permit"
    world_plane.kill()
    world_plane.restart()
    assert show(world_plane, stands["request"])["state"] in ("redeemed", "unknown")
    assert run.decide(TOOL, exact)["verdict"] != "deny"
    redeemed = world_plane.events(type="grant.redeemed")
    assert len(redeemed) == 1
