"""Policies hold at every target that a call may go to: also at the fallbacks, and in ensembles."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.decide.gates.routing_ground import call
from tests.decide.still import StillFacts, catalogue
from watchkeeper.decide.catalogue import Shadow
from watchkeeper.decide.model import Progress, Ruling
from watchkeeper.decide.path import decide
from watchkeeper.wire.models import TargetShown

WORLD = """
agent:
  name: refund-assistant
  owner: finance-ops
  model_routing: {default: near-first, allowed: [far-first, far-only, both, mixed, abroad, one]}
---
provider:
  name: near
  base_url: http://127.0.0.1:1/v1
  region: eu
  models:
    - {name: n1, input_usd_per_million: 1, output_usd_per_million: 2}
    - {name: n2, input_usd_per_million: 1, output_usd_per_million: 2}
---
provider:
  name: far
  base_url: http://127.0.0.1:2/v1
  region: us
  models: [{name: f1, input_usd_per_million: 1, output_usd_per_million: 2}]
---
provider:
  name: third
  base_url: http://127.0.0.1:3/v1
  region: eu
  models: [{name: t1, input_usd_per_million: 1, output_usd_per_million: 2}]
---
model:
  name: near-first
  targets: [{provider: near, model: n1}, {provider: far, model: f1}, {provider: third, model: t1}]
---
model:
  name: far-first
  targets: [{provider: far, model: f1}, {provider: near, model: n1}]
---
model: {name: far-only, targets: [{provider: far, model: f1}]}
---
model: {name: one, targets: [{provider: near, model: n1}, {provider: near, model: n2}]}
---
model: {name: both, ensemble: {models: [near-first, far-first], adjudicator: one}}
---
model: {name: mixed, ensemble: {models: [near-first, far-only], adjudicator: one}}
---
role: {name: finance-ops, members: [owner]}
"""
ALL = "permit (principal, action, resource);"
EU_ONLY = (
    '@id("eu-only") @message("data stays in the EU") '
    'forbid (principal, action == Action::"call_model", resource) '
    'unless { resource.region == "eu" };'
)
CALLS = 'forbid (principal, action == Action::"call_model", resource)'


def put(model: str, policy: str) -> tuple[Ruling, Progress]:
    return decide(call(model), StillFacts(catalogue(WORLD, ALL + policy)))


def targets(progress: Progress) -> list[str]:
    routed = progress.routed
    assert routed is not None
    legs: list[tuple[TargetShown, ...]] = [leg.targets for leg in routed.ensemble]
    return [one.provider for leg in (routed.targets, *legs) for one in leg]


def test_a_fallback_in_a_region_that_policies_forbid_is_left_out() -> None:
    ruling, progress = put("near-first", "")
    assert (ruling.verdict, targets(progress)) == ("permit", ["near", "far", "third"])
    ruling, progress = put("near-first", EU_ONLY)
    assert (ruling.verdict, targets(progress)) == ("permit", ["near", "third"])
    assert progress.routed is not None
    said = "far/f1 is barred by policy eu-only: data stays in the EU"
    assert said in progress.routed.reason


def test_a_first_target_that_is_forbidden_leaves_the_others() -> None:
    ruling, progress = put("far-first", EU_ONLY)
    assert (ruling.verdict, targets(progress)) == ("permit", ["near"])


def test_where_no_target_is_left_the_policy_is_named() -> None:
    ruling, _ = put("far-only", EU_ONLY)
    assert (ruling.verdict, ruling.rule) == ("deny", "policy/eu-only")
    ruling, _ = put(
        "far-first", EU_ONLY + '@id("not-near") ' + CALLS + 'when { resource.provider == "near" };'
    )
    assert (ruling.verdict, ruling.rule) == ("deny", "policy/eu-only")


def test_what_only_some_targets_may_serve_is_refused_with_both_reasons() -> None:
    """A policy bars one target, the contract's regions the other."""
    world = WORLD.replace("owner: finance-ops", "owner: finance-ops\n  regions: [us]", 1)
    facts = StillFacts(catalogue(world, ALL + EU_ONLY))
    ruling, _ = decide(call("far-first"), facts)
    assert (ruling.verdict, ruling.rule) == ("deny", "contract/refund-assistant/regions")
    assert "near/n1: it is in region 'eu'" in ruling.reason
    assert "far/f1 is barred by policy eu-only" in ruling.reason


def test_rules_on_provider_and_window_hold_for_fallbacks() -> None:
    _, progress = put("near-first", '@id("p") ' + CALLS + 'when { resource.provider == "third" };')
    assert targets(progress) == ["near", "far"]
    world = WORLD.replace("name: n2,", "name: n2, context_window: 9000,")
    policy = '@id("w") ' + CALLS + "when { resource.context_window == 9000 };"
    _, progress = decide(call("one"), StillFacts(catalogue(world, ALL + policy)))
    assert progress.routed is not None
    assert [one.model for one in progress.routed.targets] == ["n1"]


def test_a_target_that_needs_more_than_the_call_does_is_left_out() -> None:
    ask = (
        '@id("far-asks") @obligation("require_approval") @approver_role("finance-ops") '
        + CALLS
        + 'when { resource.region == "us" } unless { context.approvals.contains("finance-ops") };'
    )
    ruling, progress = put("near-first", ask)
    assert (ruling.verdict, targets(progress)) == ("permit", ["near", "third"])
    assert progress.routed is not None
    assert "barred by policy far-asks: it asks for an approval there" in progress.routed.reason
    # who is asked for the first of them is asked for the call, wherever it goes
    assert put("far-first", ask)[0].rule == "policy/far-asks"
    # all members of an ensemble answer, so each is asked about
    ruling, _ = put("mixed", ask)
    assert (ruling.verdict, ruling.rule) == ("hold", "policy/far-asks")
    lead = (
        '@id("lead") @obligation("route") @route_to("one") '
        + CALLS
        + 'when { resource.region == "us" };'
    )
    _, progress = put("near-first", lead)
    assert targets(progress) == ["near", "third"]


def test_a_rule_on_regions_asks_an_ensemble_only_about_its_members() -> None:
    ruling, progress = put("both", EU_ONLY)
    assert (ruling.verdict, targets(progress)) == (
        "permit",
        ["near", "third", "near", "near", "near"],
    )
    ruling, _ = put("mixed", EU_ONLY)
    assert (ruling.verdict, ruling.rule) == ("deny", "policy/eu-only")
    assert "far-only" in ruling.reason


def test_a_rule_on_an_ensemble_holds_for_what_its_members_do_for_it() -> None:
    policy = (
        '@id("own") forbid (principal, action, resource == Model::"both") '
        'when { resource.region == "us" };'
    )
    _, progress = put("both", policy)
    assert "far" not in targets(progress)
    assert "far" in targets(put("near-first", policy)[1])
    named = '@id("own") forbid (principal, action, resource == Model::"both");'
    assert put("both", named)[0].rule == "policy/own"


def test_a_model_at_one_place_is_asked_about_once() -> None:
    facts = StillFacts(catalogue(WORLD, ALL + EU_ONLY))
    _, progress = decide(call("one"), facts)
    assert progress.policy is not None
    assert progress.policy.at == {}


@given(
    st.sampled_from(["near-first", "far-first", "far-only", "one", "both", "mixed"]),
    st.lists(
        st.sampled_from(
            [
                EU_ONLY,
                '@id("us-no") ' + CALLS + 'when { resource.region == "us" };',
                '@id("third-no") ' + CALLS + 'when { resource.provider == "third" };',
                '@id("near-no") ' + CALLS + 'when { resource.provider == "near" };',
            ]
        ),
        unique=True,
        max_size=3,
    ),
)
def test_no_call_goes_where_a_policy_forbids_it(model: str, policies: list[str]) -> None:
    text = "".join(policies)
    ruling, progress = put(model, text)
    forbidden = {"far"} if "eu-only" in text or "us-no" in text else set()
    forbidden |= {name for name in ("third", "near") if f"{name}-no" in text}
    if ruling.verdict == "permit":
        assert forbidden.isdisjoint(targets(progress))
    else:
        assert ruling.rule.startswith("policy/")
        assert forbidden


def test_a_staged_policy_says_which_fallback_it_would_bar() -> None:
    shadow = Shadow("eu", "observe", catalogue(WORLD, ALL + EU_ONLY).engine)
    world = replace(catalogue(WORLD, ALL), shadows=(shadow,))
    _, progress = decide(call("near-first"), StillFacts(world))
    assert targets(progress) == ["near", "far", "third"]
    (would,) = progress.would
    assert would.policy == "eu-only"
    assert would.message.startswith("it would not go to far (us, ")
