"""Where the path leads model calls: by contract, risk, canary and ensemble, and what refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.decide.gates.routing_ground import WORLD, call, put, reason
from tests.decide.still import StillFacts, a_run, catalogue
from watchkeeper.decide.gates.routing import lead_on
from watchkeeper.decide.model import Action, Progress, Ruling
from watchkeeper.decide.path import decide
from watchkeeper.kill.model import LockInForce, LockTarget
from watchkeeper.models.leading import Lead, in_share
from watchkeeper.models.statistics import Standing


def test_the_refund_assistants_contract_works_as_it_is_written() -> None:
    """Its default answers, until its tools fail or it asks to move $200."""
    ruling, progress, facts = put(call())
    assert (ruling.verdict, progress.model) == ("permit", None)
    assert reason(progress) == "called by its name"
    assert facts.looked_up == ["tool_errors", "largest_amount"]
    assert progress.looked == {"tool_errors": [0, 0], "largest_amount": 0}
    ruling, progress, facts = put(call(), errors=(3, 20))
    assert (ruling.verdict, progress.model) == ("permit", "large")
    assert reason(progress) == "escalated to large: 3 of 20 tool calls failed (15 % > 5 %)"
    (duty,) = progress.obligations
    assert (duty.kind, duty.policy, duty.model) == (
        "route",
        "contract/refund-assistant/escalate_on",
        "large",
    )
    assert facts.asked[0]["spend"] == 2000 * 10 + 500 * 20
    ruling, progress, _ = put(call(), amount=250_000_000)
    assert progress.model == "large"
    assert "large answers instead of small" in ruling.reason


def test_no_figure_is_looked_up_where_no_document_asks() -> None:
    for name in ("cheap", "judged", "both", "tried"):
        assert put(call(name))[2].looked_up == []


@pytest.mark.parametrize(
    ("changes", "policy", "rule", "says"),
    [
        (
            {},
            '@id("no") forbid (principal, action, resource == Model::"large");',
            "policy/no",
            "escalated to large: 1 of 1 tool calls failed (100 % > 5 %): forbidden",
        ),
        (
            {
                "locks": (
                    LockInForce("lock_1", LockTarget("model", "large"), "stop", "odd", "p", 1, 1),
                )
            },
            "",
            "lock/lock_1",
            "escalated to large",
        ),
        (
            {"run": a_run(scope='[{"scopes": ["model:small"], "details": null}]')},
            "",
            "identity/scope",
            "escalated to large",
        ),
    ],
)
def test_what_may_not_answer_is_not_escalated_to(
    changes: dict[str, Any], policy: str, rule: str, says: str
) -> None:
    """The weaker model is no way round: the call is refused, and how it came there is said."""
    ruling, _, _ = put(call(), policy, errors=(1, 1), **changes)
    assert (ruling.verdict, ruling.rule) == ("deny", rule)
    assert says in ruling.reason


def test_an_escalation_elsewhere_is_refused_by_the_contracts_regions() -> None:
    world = (WORLD % "").replace("escalates_to: large}", "escalates_to: abroad}", 1)
    ruling, _ = decide(call(), StillFacts(catalogue(world, ""), errors=(1, 1)))
    assert (ruling.verdict, ruling.rule) == ("deny", "contract/refund-assistant/regions")


def test_an_approval_for_the_stronger_model_is_asked_for() -> None:
    policy = (
        '@id("costly") @obligation("require_approval") @approver_role("finance-ops") '
        'forbid (principal, action == Action::"call_model", resource == Model::"large") '
        'unless { context.approvals.contains("finance-ops") };'
    )
    assert put(call(), policy)[0].verdict == "permit"
    ruling, _, _ = put(call(), policy, errors=(1, 1))
    assert (ruling.verdict, ruling.rule) == ("hold", "policy/costly")


def test_a_policy_comes_before_the_contract() -> None:
    policy = (
        '@id("cheaper") @obligation("route") @route_to("cheap") '
        'forbid (principal, action == Action::"call_model", resource == Model::"small");'
    )
    _, progress, _ = put(call(), policy, errors=(1, 1))
    assert progress.routed is not None
    assert (progress.routed.model, progress.routed.cause) == ("cheap", "policy")
    assert reason(progress).startswith("policy cheaper leads the call to cheap; local/small-1 is")


def test_risk_leads_and_who_cannot_be_led_is_refused() -> None:
    _, progress, _ = put(call("by-risk"), risk="critical")
    assert progress.routed is not None
    assert (progress.routed.model, progress.routed.cause) == ("large", "risk")
    ruling, _, _ = put(call("by-risk", fulfils=()), risk="critical")
    assert (ruling.verdict, ruling.rule) == ("deny", "model/by-risk/by_risk")
    assert "fulfils: [route]" in (ruling.allowed_instead or "")


def test_a_canary_that_may_not_answer_is_left_out() -> None:
    """Who tries something out does not let it stand in the way."""
    _, progress, _ = put(call("tried"))
    assert progress.routed is not None
    assert (progress.routed.model, progress.routed.cause) == ("next", "canary")
    lock = LockInForce("lock_1", LockTarget("model", "next"), "stop", "odd", "p", 1, 1)
    ruling, progress, _ = put(call("tried"), locks=(lock,))
    assert (ruling.verdict, progress.model) == ("permit", None)
    assert reason(progress) == "called by its name; canary next is left out (lock/lock_1)"
    ruling, progress, _ = put(call("tried", fulfils=()))
    assert (ruling.verdict, progress.model) == ("permit", None)


def test_an_ensemble_is_one_action_held_for_all_its_models() -> None:
    ruling, progress, facts = put(call("both"))
    routed = progress.routed
    assert ruling.verdict == "permit"
    assert routed is not None
    assert (routed.model, routed.cause, routed.targets) == ("both", "ensemble", ())
    assert [leg.model for leg in routed.ensemble] == ["small", "large", "large"]
    assert "small and large answer, and large from both" in routed.reason
    assert [duty.kind for duty in progress.obligations] == ["compose"]
    held = facts.asked[0]
    assert held["output_tokens"] == 1500
    assert held["input_tokens"] > 3 * 2000 + 2 * 500 * 4
    assert held["spend"] > (2000 + 1000) + 2 * (20_000 + 10_000)
    ruling, _, _ = put(call("both", fulfils=("route", "max_output_tokens")))
    assert (ruling.verdict, ruling.rule) == ("deny", "model/both/ensemble")
    lock = LockInForce("lock_1", LockTarget("model", "large"), "stop", "odd", "p", 1, 1)
    ruling, _, _ = put(call("both"), locks=(lock,))
    assert (ruling.verdict, ruling.rule) == ("deny", "lock/lock_1")
    assert "large may have to answer (model/both/ensemble)" in ruling.reason


def test_a_judged_answer_is_held_for_both_models() -> None:
    _, progress, facts = put(call("judged"))
    routed = progress.routed
    assert routed is not None
    assert routed.stronger is not None
    assert (routed.model, routed.stronger.model) == ("judged", "large")
    assert facts.asked[0]["spend"] == 3000 + 30_000
    _, counted, _ = put(call("judged", endpoint="count_tokens", output=0))
    assert counted.routed is None or counted.routed.stronger is None


@pytest.mark.parametrize(
    ("action", "budgets", "rule", "says"),
    [
        (
            call(tokens=5001),
            "max_input_tokens_per_call: 5000",
            "contract/refund-assistant/max_input_tokens_per_call",
            "5,001 input tokens",
        ),
        (
            call(tokens=1000),
            "max_cost_usd_per_call: 0.001",
            "contract/refund-assistant/max_cost_usd_per_call",
            "one call may cost $0.001",
        ),
        (
            call("both"),
            "max_cost_usd_per_call: 0.075",
            "contract/refund-assistant/max_cost_usd_per_call",
            "its 3 models may cost",
        ),
        (
            call("unpriced"),
            "max_cost_usd_per_run: 1",
            "model/unpriced/price",
            "nobody knows its price",
        ),
        (
            call("two-places", tokens=3000),
            "",
            "model/two-places/targets",
            "far/far-1: it is in region 'us-east'; local/tiny-1: the call may hold 3,500 tokens",
        ),
        (call("nowhere"), "", "contract/refund-assistant/regions", "us-east"),
        (
            call(endpoint="messages"),
            "",
            "model/small/endpoint",
            "local/small-1: it does not serve messages",
        ),
    ],
)
def test_what_has_no_target_is_refused_by_what_leaves_it_none(
    action: Action, budgets: str, rule: str, says: str
) -> None:
    ruling, _, _ = put(action, budgets=budgets)
    assert (ruling.verdict, ruling.rule) == ("deny", rule)
    assert says in ruling.reason
    assert ruling.allowed_instead


def test_a_model_whose_price_nobody_knows_counts_as_nothing_where_nothing_caps_it() -> None:
    ruling, progress, facts = put(call("unpriced"))
    assert ruling.verdict == "permit"
    assert "nobody knows the price of local/odd-1" in reason(progress)
    assert facts.asked[0]["spend"] == 0


@pytest.mark.parametrize(
    ("model", "budgets", "output", "rule"),
    [
        (
            "small",
            "max_output_tokens_per_call: 100",
            100,
            "contract/refund-assistant/max_output_tokens_per_call",
        ),
        (
            "small",
            "max_cost_usd_per_call: 0.0024",
            200,
            "contract/refund-assistant/max_cost_usd_per_call",
        ),
        ("two-places", "", 400, "model/two-places/context_window"),
    ],
)
def test_what_is_too_much_output_is_lowered_and_said(
    model: str, budgets: str, output: int, rule: str
) -> None:
    tokens = 2600 if model == "two-places" else 2000
    ruling, progress, facts = put(call(model, tokens=tokens), budgets=budgets)
    assert ruling.verdict == "permit"
    (duty,) = progress.obligations
    assert (duty.kind, duty.policy, duty.max_output_tokens) == ("max_output_tokens", rule, output)
    assert facts.asked[0]["output_tokens"] == output
    ruling, _, _ = put(call(model, tokens=tokens, fulfils=("route",)), budgets=budgets)
    assert (ruling.verdict, ruling.rule) == ("deny", rule)


def test_the_cheapest_goes_first_unless_it_is_not_well() -> None:
    _, progress, facts = put(call("cheap"))
    assert progress.routed is not None
    assert [one.model for one in progress.routed.targets] == ["small-1", "large-1"]
    assert facts.asked[0]["spend"] == 30_000
    _, progress, _ = put(call("cheap"), stand={"local/small-1": Standing(down=True)})
    assert progress.routed is not None
    assert [one.model for one in progress.routed.targets] == ["large-1", "small-1"]
    assert "not well now: local/small-1" in reason(progress)


def test_embeddings_are_led_by_policies_alone() -> None:
    """Vectors of different models can't be compared."""
    _, progress, _ = put(call(endpoint="embeddings", output=0), errors=(1, 1))
    assert progress.model is None
    assert put(call("both", endpoint="embeddings", output=0))[0].rule == "model/both/targets"


def degrade(progress: Progress, facts: StillFacts, to: str = "cheap") -> Ruling | None:
    lead = Lead(to, "budget", f"budget team/day/spend leads calls to {to}", "budget/team/day/spend")
    return lead_on(call(), facts, progress, lead)


def test_a_budget_leads_a_call_that_is_routed_to_a_cheaper_model() -> None:
    """All or nothing: what is refused there changes nothing."""
    _, progress, facts = put(call(), errors=(1, 1))
    assert progress.estimate is not None
    dear = progress.estimate.cost_micros
    assert degrade(progress, facts) is None
    assert progress.routed is not None
    assert (progress.routed.model, progress.routed.cause, progress.model) == (
        "cheap",
        "budget",
        "cheap",
    )
    assert progress.estimate.cost_micros == dear
    assert [duty.policy for duty in progress.obligations] == ["budget/team/day/spend"]
    before = progress.routed
    refused = degrade(progress, facts, "abroad")
    assert refused is not None
    assert refused.rule == "contract/refund-assistant/regions"
    assert progress.routed is before


def test_a_budget_does_not_lead_past_a_person_or_a_policy() -> None:
    ask = (
        '@id("ask") @obligation("require_approval") @approver_role("finance-ops") '
        'forbid (principal, action == Action::"call_model", resource == Model::"cheap") '
        'unless { context.approvals.contains("finance-ops") };'
    )
    _, progress, facts = put(call(), ask)
    refused = degrade(progress, facts)
    assert refused is not None
    assert "needs an approval of its own" in refused.reason
    lead = (
        '@id("careful") @obligation("route") @route_to("judged") '
        'forbid (principal, action == Action::"call_model", resource == Model::"small");'
    )
    _, progress, facts = put(call(), lead)
    refused = degrade(progress, facts)
    assert refused is not None
    assert "a policy leads it to judged" in refused.reason


def test_a_canarys_share_of_runs_is_led_and_the_others_are_not() -> None:
    """One run stays with one model."""
    world = (WORLD % "").replace('versions: ["refund-assistant@1"]', "percent: 30")
    documents = catalogue(world, "")
    for number in range(40):
        run = f"run_{number}"
        facts = StillFacts(documents, a_run(run=run))
        models = set()
        for _ in range(2):
            _, progress = decide(call("tried"), facts)
            models.add(progress.model)
        assert models == {"next" if in_share("tried", run, 30) else None}


def test_the_shared_contract_is_read_as_it_is() -> None:
    """The contract of the rig is word for word a team's own."""
    from tests.rig.world import CONTRACT
    from watchkeeper.registry.source import read_file

    (found,) = read_file("refund-assistant.yaml", CONTRACT)
    routing = found.document.model_routing  # type: ignore[union-attr]
    assert routing is not None
    assert (routing.default, routing.escalate_to) == ("small-fast", None)
    assert [one.tool_error_rate_gt for one in routing.escalate_on] == [0.05, None]
    assert [one.amount_usd_ge for one in routing.escalate_on] == [None, 200_000_000]


def test_a_call_that_keeps_nothing_at_its_provider_is_held_for_no_keeping() -> None:
    """Only in the protocol whose providers keep nothing by themselves."""
    world = (WORLD % "").replace(
        "base_url: http://127.0.0.1:1/v1", "base_url: http://127.0.0.1:1/v1\n  protocol: anthropic"
    )
    world = world.replace("{name: small-1,", "{name: small-1, cache_write_usd_per_million: 5,", 1)
    for endpoint, said, spend in (
        ("messages", {}, 2000 * 5 + 1000),
        ("messages", {"writes_cache": True}, 2000 * 5 + 1000),
        ("messages", {"writes_cache": False}, 2000 + 1000),
    ):
        asked = call(endpoint=endpoint)
        asked = replace(asked, arguments={**asked.arguments, **said})
        facts = StillFacts(catalogue(world, ""))
        assert decide(asked, facts)[0].verdict == "permit"
        assert facts.asked[0]["spend"] == spend
    facts = StillFacts(catalogue(world.replace("protocol: anthropic", "protocol: openai"), ""))
    asked = call()
    decide(replace(asked, arguments={**asked.arguments, "writes_cache": False}), facts)
    assert facts.asked[0]["spend"] == 2000 * 5 + 1000
