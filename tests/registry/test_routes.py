"""What applying says of models that lead where no call can come."""

from __future__ import annotations

import pytest

from watchkeeper.registry.routes import reached, route_gaps
from watchkeeper.registry.rules import find_gaps
from watchkeeper.registry.source import read_file

WORLD = """
provider:
  name: open
  base_url: https://open.example/v1
  region: eu
  terms: {retention: zero}
  models: [{name: m}]
---
provider:
  name: other
  protocol: anthropic
  base_url: https://other.example
  region: us
  models: [{name: m}]
---
model: {name: small, provider: open, provider_model: m, escalates_to: large}
---
model: {name: large, provider: open, provider_model: m}
---
agent:
  name: clerk
  owner: ops
  model_routing: {default: small, escalate_on: [{amount_usd_ge: 200}]}
"""
ROLE = "\n---\nrole: {name: ops, members: [owner]}\n"


def gaps(text: str) -> list[str]:
    documents = {(s.kind, s.name): s.document for s in read_file("world.yaml", text + ROLE)}
    assert set(route_gaps(documents)) <= set(find_gaps(documents))
    return list(route_gaps(documents))


def test_what_is_in_order_has_no_gap() -> None:
    assert gaps(WORLD) == []


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            ", escalates_to: large",
            "",
            "agent 'clerk': model_routing.escalate_on has no effect: neither escalate_to nor model "
            "'small' (escalates_to) names a stronger model",
        ),
        (
            "name: large, provider: open, provider_model: m",
            "name: large, provider: open, provider_model: m, escalates_to: small",
            "models lead to one another in a circle: large, small; a call comes to none",
        ),
        (
            "name: large, provider: open,",
            "name: large, provider: other,",
            "model 'small': leads to 'large', which speaks anthropic only",
        ),
        (
            "name: large, provider: open, provider_model: m",
            "name: large, targets: [{provider: open, model: m}, {provider: other, model: m}]",
            "model 'large': its targets speak anthropic and openai",
        ),
        (
            "name: large, provider: open, provider_model: m",
            "name: large, provider: open, provider_model: m, "
            "canary: {model: small, versions: [ghost@2]}",
            "canary.versions names agent 'ghost', which does not exist",
        ),
        (
            "name: large, provider: open, provider_model: m",
            "name: large, provider: open, provider_model: m, "
            "canary: {model: small, versions: [clerk-2]}",
            "canary.versions: 'clerk-2' is no version; write it as `agent@3`",
        ),
        (
            "name: large, provider: open, provider_model: m",
            "name: large, ensemble: {models: [small, both], adjudicator: small}}\n---\n"
            "model: {name: both, ensemble: {models: [small, small], adjudicator: small}",
            "model 'large': ensemble.models names 'both', which is an ensemble itself",
        ),
        (
            "amount_usd_ge: 200}]}",
            "output_matches: unsure}], escalate_to: both}\n---\n"
            "model: {name: both, ensemble: {models: [small, large], adjudicator: small}}",
            "agent 'clerk': 'both', which is to answer where an answer does not do, is an ensemble",
        ),
        (
            "owner: ops",
            "owner: ops\n  regions: [us]",
            "agent 'clerk': its calls of model 'large' are refused: no target of it is in the",
        ),
        (
            "terms: {retention: zero}",
            "terms: {retention: limited}\n  models: [{name: m}]\n---\n"
            "agent:\n  name: discreet\n  owner: ops\n"
            "  logging: {zero_retention: true}\n  model_routing: {default: small}\n---\nprovider:\n"
            "  name: spare\n  base_url: https://spare.example/v1\n  terms: {retention: limited}",
            "agent 'discreet': its calls of model 'small' are refused: the contract says zero_ret",
        ),
    ],
)
def test_what_cannot_come_about_is_said(old: str, new: str, says: str) -> None:
    """A file that is wrong in one way says so, and what is right beside it is not blamed."""
    assert old in WORLD
    found = gaps(WORLD.replace(old, new, 1))
    assert any(says in one for one in found), found


def test_what_a_model_leads_to_is_reached_once() -> None:
    documents = {s.name: s.document for s in read_file("w.yaml", WORLD) if s.kind == "model"}
    assert reached(["small"], documents.get) == ("small", "large")  # type: ignore[arg-type]
    assert reached(["large", "ghost"], documents.get) == ("large", "ghost")  # type: ignore[arg-type]


def test_long_circles_are_found_in_time_that_grows_with_their_length() -> None:
    """Documents are hostile until they are read: nothing here is quadratic."""
    from watchkeeper.registry.providers import LogicalModel

    count = 20_000
    documents = {
        ("model", f"m{n}"): LogicalModel(
            name=f"m{n}", provider="p", provider_model="m", escalates_to=f"m{(n + 1) % count}"
        )
        for n in range(count)
    }
    (gap,) = route_gaps(documents)
    assert f"and {count - 6} more" in gap
