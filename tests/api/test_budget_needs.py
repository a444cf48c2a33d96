"""Which budgets need a person: those of what still runs."""

from __future__ import annotations

from tests.rig.plane import Plane
from tests.rig.world import AMPLE, POLICY, agent_document, world


def test_a_budget_of_a_run_that_has_ended_needs_nobody(plane: Plane) -> None:
    agent = agent_document(budgets={**AMPLE, "max_steps": 1})
    plane.apply(*world(agent=agent), policies__cedar=POLICY)
    run = plane.enrol("clerk").open_run()

    def needs() -> list[str]:
        rows = plane.operator.get("/v1/watch")["rows"]
        return [row["subject"] for row in rows if row["kind"] == "budget"]

    assert run.decide("books.echo", {"text": "one"})["verdict"] == "permit"
    assert run.decide("books.echo", {"text": "two"})["verdict"] == "deny"
    assert needs() == [f"run/{run.id}/tool_calls"]
    run.close()
    assert needs() == []
