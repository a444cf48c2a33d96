"""What a permit obliges to: carried out by who can, denied where nobody could."""

from __future__ import annotations

from typing import Any

import pytest

from tests.decide.still import StillFacts, a_run, catalogue
from watchkeeper.decide.model import Action, Progress, Ruling
from watchkeeper.decide.path import decide
from watchkeeper.kill.model import LockInForce, LockTarget
from watchkeeper.wire.decisions import Duty, DutyKind, Usage

WORLD = """
agent:
  name: refund-assistant
  owner: finance-ops
  regions: [eu]
  model_routing: {default: small, allowed: [large, abroad, tiny]}
  tools: {allowlist: [{name: tickets.read}, {name: tickets.export}, {name: stripe.refund}]}
  context:
    max_window_tokens: 9000
---
agent:
  name: scripted
  owner: finance-ops
  model_routing: {default: small}
  context: {prompt_templates: [{name: refunds, digest: "sha256:%s"}]}
---
tool: {name: tickets.read, does: Reads a ticket, access: read}
---
tool: {name: tickets.export, does: Exports tickets, access: read, region: us-east}
---
tool: {name: stripe.refund, does: Refunds a charge, amount_usd: amount_usd}
---
provider:
  name: local
  base_url: http://127.0.0.1:1/v1
  region: eu
  models:
    - {name: small-1, input_usd_per_million: 1, output_usd_per_million: 2}
    - {name: large-1, input_usd_per_million: 10, output_usd_per_million: 20}
    - {name: tiny-1, input_usd_per_million: 1, output_usd_per_million: 2, context_window: 100}
---
provider:
  name: far
  base_url: http://127.0.0.1:2/v1
  region: us-east
  models: [{name: far-1, input_usd_per_million: 1, output_usd_per_million: 2}]
---
model: {name: small, provider: local, provider_model: small-1}
---
model: {name: large, provider: local, provider_model: large-1}
---
model: {name: tiny, provider: local, provider_model: tiny-1}
---
model: {name: abroad, provider: far, provider_model: far-1}
---
role: {name: finance-ops, members: [owner]}
""" % ("a" * 64)
ROUTE = """
@id("careful") @obligation("route") @route_to("large")
forbid (principal, action == Action::"call_model", resource == Model::"small")
when { context.est_tokens > 1000 };
"""
CAN: tuple[DutyKind, ...] = ("route", "max_output_tokens")


def rule(policy: str, action: Action, **changes: Any) -> tuple[Ruling, Progress]:
    """Put an action through the gates under a policy."""
    return decide(action, StillFacts(catalogue(WORLD, policy), **changes))


def call(
    model: str = "small",
    tokens: int = 2000,
    output: int = 500,
    prompt: str | None = None,
    fulfils: tuple[DutyKind, ...] = CAN,
) -> Action:
    """A model call by the gateway, which can lead it and cut it short."""
    estimate = Usage(input_tokens=tokens, output_tokens=output, cost_micros=7)
    arguments = {"body": "x", "prompt_template": prompt}
    return Action("model", model, arguments, estimate, fulfils=fulfils)


def test_a_call_is_led_to_another_model_and_held_in_the_budgets_at_its_price() -> None:
    """The caller learns of it; the estimate is that of the model that answers."""
    facts = StillFacts(catalogue(WORLD, ROUTE))
    ruling, progress = decide(call(), facts)
    assert ruling.verdict == "permit"
    assert progress.model == "large"
    assert [duty.model for duty in progress.obligations] == ["large"]
    assert facts.asked == [
        {"input_tokens": 2000, "output_tokens": 500, "tokens": 2500, "spend": 30_000}
    ]
    assert "large answers instead of small" in ruling.reason
    below, progress = decide(call(tokens=100), facts)
    assert (below.verdict, progress.model) == ("permit", None)
    assert facts.asked[1] == {
        "input_tokens": 100,
        "output_tokens": 500,
        "tokens": 600,
        "spend": 1100,
    }


def test_fewer_tokens_are_reserved_where_fewer_may_be_generated() -> None:
    """The smallest of several limits counts."""
    policy = "".join(
        f'@id("d{most}") @obligation("degrade") @max_output_tokens("{most}")'
        'forbid (principal, action == Action::"call_model", resource);'
        for most in (400, 300)
    )
    facts = StillFacts(catalogue(WORLD, policy))
    ruling, progress = decide(call(), facts)
    assert ruling.verdict == "permit"
    assert facts.asked[0]["output_tokens"] == 300
    assert {duty.max_output_tokens for duty in progress.obligations} == {300, 400}


@pytest.mark.parametrize(
    ("policy", "action", "deny_rule", "says"),
    [
        (ROUTE, call(fulfils=()), "policy/careful", "does not say it can do"),
        (ROUTE.replace("large", "unheard-of"), call(), "contract/refund-assistant/models", "leads"),
        (ROUTE.replace("large", "abroad"), call(), "contract/refund-assistant/regions", "us-east"),
        (ROUTE.replace("large", "tiny"), call(), "model/tiny/context_window", "window"),
        (
            ROUTE + '@id("no") forbid (principal, action, resource == Model::"large");',
            call(),
            "policy/no",
            "leads the call to large",
        ),
        (
            ROUTE + '@id("more") @obligation("route") @route_to("abroad") '
            'forbid (principal, action == Action::"call_model", resource == Model::"small");',
            call(),
            "policy/careful",
            "different models",
        ),
        (
            ROUTE + '@id("back") @obligation("route") @route_to("small") '
            'forbid (principal, action == Action::"call_model", resource == Model::"large");',
            call(),
            "policy/back",
            "leads on to small",
        ),
        (
            '@id("mask") @obligation("redact") @redact("email") '
            'forbid (principal, action == Action::"use_tool", resource);',
            Action("tool", "tickets.read", {}),
            "policy/mask",
            "taken out of the result",
        ),
    ],
)
def test_an_obligation_that_cannot_be_carried_out_denies(
    policy: str, action: Action, deny_rule: str, says: str
) -> None:
    """The refusal names the policy, or the rule that the other model does not pass."""
    ruling, _ = rule(policy, action)
    assert (ruling.verdict, ruling.rule) == ("deny", deny_rule)
    assert says in ruling.reason


def test_a_lock_on_the_model_that_would_answer_denies() -> None:
    """A kill of a model holds for calls that a policy leads there."""
    lock = LockInForce("lock_1", LockTarget("model", "large"), "stop", "odd", "person/ada", 1, 1)
    ruling, _ = rule(ROUTE, call(), locks=(lock,))
    assert (ruling.verdict, ruling.rule) == ("deny", "lock/lock_1")


def test_an_approval_that_the_other_model_needs_is_asked_for() -> None:
    """Leading a call elsewhere is no way round a person."""
    policy = (
        ROUTE + '@id("costly") @obligation("require_approval") @approver_role("finance-ops") '
        'forbid (principal, action == Action::"call_model", resource == Model::"large") '
        'unless { context.approvals.contains("finance-ops") };'
    )
    ruling, progress = rule(policy, call())
    assert (ruling.verdict, ruling.rule) == ("hold", "policy/costly")
    granted, progress = rule(policy, call(), granted=frozenset({progress.digest}))
    assert (granted.verdict, progress.model) == ("permit", "large")


def test_a_result_is_redacted_by_who_can() -> None:
    """Classes are told; nothing else of the permit changes."""
    policy = (
        '@id("mask") @obligation("redact") @redact("email, phone") '
        'forbid (principal, action == Action::"use_tool", resource);'
    )
    ruling, progress = rule(policy, Action("tool", "tickets.read", {}, fulfils=("redact",)))
    assert ruling.verdict == "permit"
    assert progress.obligations == (Duty(kind="redact", policy="mask", classes=("email", "phone")),)


@pytest.mark.parametrize(
    ("action", "rule_id"),
    [
        (call("abroad"), "contract/refund-assistant/regions"),
        (Action("tool", "tickets.export", {}), "contract/refund-assistant/regions"),
        (call(tokens=8600), "contract/refund-assistant/context"),
        (call("tiny", tokens=90, output=11), "model/tiny/context_window"),
    ],
)
def test_regions_and_windows_of_the_contract_hold(action: Action, rule_id: str) -> None:
    """What is elsewhere or too large is refused, naming the line of the contract."""
    ruling, _ = rule("", action)
    assert (ruling.verdict, ruling.rule) == ("deny", rule_id)


def test_only_reviewed_prompts_are_sent() -> None:
    """No system message, or another one, is no reviewed prompt."""
    for template in (None, "sha256:" + "b" * 64):
        ruling, _ = rule("", call(prompt=template), run=a_run(agent="scripted"))
        assert ruling.rule == "contract/scripted/prompt_templates"
    reviewed = call(prompt="sha256:" + "a" * 64)
    assert rule("", reviewed, run=a_run(agent="scripted"))[0].verdict == "permit"


def test_a_large_refund_needs_a_stronger_model_and_a_person() -> None:
    """First the model that prepared it, then the person; each refusal says what is missing."""
    policy = """
@id("stronger") @message("A refund of more than $200 is prepared by the large model.")
forbid (principal, action == Action::"use_tool", resource == Tool::"stripe.refund")
when { context.amount_micros > 200000000 } unless { context.model == "large" };
@id("person") @obligation("require_approval") @approver_role("finance-ops")
forbid (principal, action == Action::"use_tool", resource == Tool::"stripe.refund")
when { context.amount_micros > 200000000 }
unless { context.approvals.contains("finance-ops") };
"""
    refund = Action("tool", "stripe.refund", {"amount_usd": 201})
    assert rule(policy, refund)[0].rule == "policy/stronger"
    assert rule(policy, refund, model="small")[0].rule == "policy/stronger"
    ruling, progress = rule(policy, refund, model="large")
    assert (ruling.verdict, ruling.rule) == ("hold", "policy/person")
    assert progress.question is not None
    assert progress.question.model == "large"
    small = Action("tool", "stripe.refund", {"amount_usd": 200})
    assert rule(policy, small)[0].verdict == "permit"
