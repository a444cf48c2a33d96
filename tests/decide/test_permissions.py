"""An agent's envelope says in words what the gates would answer."""

from __future__ import annotations

from tests.decide.gates.test_obligations import WORLD as MODELS
from tests.decide.still import WORLD, catalogue
from tests.rig.world import CONTRACT
from watchkeeper.decide.permissions import envelope_of
from watchkeeper.wire.agents import EnvelopeRow

POLICY = """
@id("contracts-permit") permit (principal, action, resource);
@id("over-200") @obligation("require_approval") @approver_role("finance-ops")
forbid (principal, action == Action::"use_tool", resource == Tool::"stripe.create_refund")
when { context.amount_micros > 200000000 }
unless { context.approvals.contains("finance-ops") };
@id("from-1000") @message("Nobody refunds $1,000.")
forbid (principal, action == Action::"use_tool", resource == Tool::"stripe.create_refund")
when { context.amount_micros >= 1000000000 };
@id("big") @obligation("require_approval") @approver_role("finance-lead")
forbid (principal, action == Action::"call_model", resource) when { context.est_tokens > 10000 }
unless { context.approvals.contains("finance-lead") };
"""


def rows(policy: str = POLICY, **world: str) -> dict[str, EnvelopeRow]:
    """The envelope of the refund assistant, by name."""
    found = envelope_of(catalogue(policy=policy, **world), "refund-assistant")
    return {row.name: row for row in found.rows}


def test_thresholds_of_policies_are_told() -> None:
    """Below, between and above the lines that policies draw."""
    refund = rows()["stripe.create_refund"]
    assert refund.may == "yes"
    assert refund.words == (
        "up to $200.00 freely; below $1,000.00 with approval by finance-ops; "
        "above never: Nobody refunds $1,000."
    )
    assert refund.rule == "policy/contracts-permit"
    model = rows()["small-fast"]
    assert model.words == "up to 10,000 tokens freely; above with approval by finance-lead"


def test_what_always_or_never_needs_a_person_says_so() -> None:
    """A critical tool is held whatever it does; a tool without contract is refused."""
    found = rows()
    assert (found["cloud.delete"].may, found["cloud.delete"].rule) == (
        "approval",
        "tool/cloud.delete/risk",
    )
    assert found["stripe.lookup_charge"].words == "freely"
    ghost = found["ghost.tool"]
    assert (ghost.may, ghost.rule) == ("never", "contract/refund-assistant/tools")


def test_environments_that_differ_are_told_apart() -> None:
    """A rule on production alone is told of production alone."""
    policy = POLICY + (
        '@id("careful") forbid (principal, action, resource == Tool::"stripe.lookup_charge") '
        'when { context.environment == "production" };'
    )
    both = WORLD.replace("  owner:", "  environments: [production, test]\n  owner:", 1)
    lookup = rows(policy, world=both)["stripe.lookup_charge"]
    assert lookup.may == "yes"
    assert lookup.words == "in production: never: forbidden by policy; in test: freely"


def test_a_contract_as_a_team_wrote_it_applies_and_reads_well() -> None:
    """Every section of it is known; what asks for approval in the contract is told."""
    tools = "".join(
        f"---\ntool: {{name: {name}, does: Works, access: {access}}}\n"
        for name, access in (("zendesk.read_ticket", "read"), ("stripe.create_refund", "write"))
    )
    found = rows("", world=CONTRACT + tools)
    assert {name: row.may for name, row in found.items()} == {
        "zendesk.read_ticket": "yes",
        "stripe.lookup_charge": "never",
        "stripe.create_refund": "approval",
        "small-fast": "never",
    }
    assert found["stripe.create_refund"].words == "with approval by owner"
    assert "no tool contract in force" in found["stripe.lookup_charge"].words


def test_a_model_that_must_answer_first_and_one_that_answers_instead_are_named() -> None:
    """Obligations are part of the words."""
    policy = """
@id("stronger") forbid (principal, action, resource == Tool::"stripe.refund")
when { context.amount_micros > 200000000 } unless { context.model == "large" };
@id("careful") @obligation("route") @route_to("large")
forbid (principal, action == Action::"call_model", resource == Model::"small");
@id("short") @obligation("degrade") @max_output_tokens("500")
forbid (principal, action == Action::"call_model", resource == Model::"large");
"""
    found = rows(policy, world=MODELS)
    assert found["stripe.refund"].words == (
        "up to $200.00 freely; above freely after an answer of large"
    )
    assert found["small"].words == "freely, answered by large, of at most 500 output tokens"
    assert (found["abroad"].may, found["abroad"].rule) == (
        "never",
        "contract/refund-assistant/regions",
    )
    assert found["tickets.export"].may == "never"
