"""What was approved before its rules became stricter, on a real plane."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rig.agent import Run
from tests.rig.plane import Plane
from tests.rig.world import agent_document, world

TOOL, CALL = "books.echo", {"text": "hello"}
ASKED = """
@id("contracts-permit")
permit (principal, action, resource);

@id("echoes-are-seen")
@message("Two people see every echo.")
@obligation("require_approval")
@approver_role("finance-ops")
@quorum("2 of finance-ops")
forbid (principal, action == Action::"use_tool", resource == Tool::"books.echo")
unless { context.approvals.contains("finance-ops") };
"""
CRITICAL = ASKED.replace("@quorum", '@risk("critical") @quorum')


@pytest.fixture
def run(plane: Plane) -> Run:
    """A run whose echoes two people must approve, or time does."""
    agent = agent_document().replace("approvals: {", "approvals: {timeout: allow, ")
    agent = agent.replace("sla_seconds: 900", "sla_seconds: 300")
    plane.apply(*world(agent=agent), rules__cedar=ASKED)
    return plane.enrol("clerk").open_run()


def act(plane: Plane, request: str, what: str, **body: Any) -> dict[str, Any]:
    """Do something to what is asked, as the owner."""
    digest = plane.operator.get(f"/v1/requests/{request}")["digest"]
    done: dict[str, Any] = plane.operator.post(
        f"/v1/requests/{request}/{what}", {"digest": digest, **body}
    )
    return done


def test_a_deadline_and_one_vote_of_two_do_nothing_critical(plane: Plane, run: Run) -> None:
    request = run.decide(TOOL, CALL)["request"]
    assert act(plane, request, "votes", verdict="approve")["state"] == "pending"
    plane.advance(301)
    assert plane.operator.get(f"/v1/requests/{request}")["decided_by"] == "deadline"
    plane.apply(rules__cedar=CRITICAL)
    again = run.decide(TOOL, CALL)
    assert again["verdict"] == "hold", again
    assert "time alone does not decide it any more" in again["reason"]


def test_what_one_person_gave_alone_is_void_once_nobody_may(plane: Plane, run: Run) -> None:
    request = run.decide(TOOL, CALL)["request"]
    assert act(plane, request, "break-glass", reason="fire")["state"] == "approved"
    plane.apply("risk: {name: low, break_glass: false}")
    again = run.decide(TOOL, CALL)
    assert again["verdict"] == "hold", again
    assert "nobody may by now" in again["reason"]
