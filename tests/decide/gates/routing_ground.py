"""Models that lead to one another, and the path that leads calls to them, without a store."""

from __future__ import annotations

from typing import Any

from tests.decide.still import StillFacts, catalogue
from watchkeeper.decide.model import Action, Progress, Ruling
from watchkeeper.decide.path import decide
from watchkeeper.wire.decisions import DutyKind, Usage

WORLD = """
agent:
  name: refund-assistant
  owner: finance-ops
  regions: [eu]
  model_routing:
    default: small
    escalate_on:
      - tool_error_rate_gt: 0.05
      - amount_usd_ge: 200
    allowed: [by-risk, tried, both, judged, cheap, two-places, unpriced, nowhere, large, tiny]
  budgets: {%s}
---
provider:
  name: local
  base_url: http://127.0.0.1:1/v1
  region: eu
  models:
    - {name: small-1, input_usd_per_million: 1, output_usd_per_million: 2}
    - {name: large-1, input_usd_per_million: 10, output_usd_per_million: 20}
    - {name: tiny-1, input_usd_per_million: 1, output_usd_per_million: 2, context_window: 3000}
    - {name: odd-1}
---
provider:
  name: far
  base_url: http://127.0.0.1:2/v1
  region: us-east
  models: [{name: far-1, input_usd_per_million: 1, output_usd_per_million: 1}]
---
model: {name: small, provider: local, provider_model: small-1, escalates_to: large}
---
model: {name: large, provider: local, provider_model: large-1}
---
model: {name: abroad, provider: far, provider_model: far-1}
---
model: {name: by-risk, provider: local, provider_model: small-1, by_risk: {high: large}}
---
model:
  name: tried
  provider: local
  provider_model: small-1
  canary: {model: next, versions: ["refund-assistant@1"]}
---
model: {name: next, provider: local, provider_model: large-1}
---
model: {name: both, ensemble: {models: [small, large], adjudicator: large}}
---
model:
  name: judged
  provider: local
  provider_model: small-1
  escalates_to: large
  escalate_on: [{output_matches: not sure}]
---
model:
  name: cheap
  strategy: cheapest
  targets: [{provider: local, model: large-1}, {provider: local, model: small-1}]
---
model:
  name: two-places
  targets: [{provider: far, model: far-1}, {provider: local, model: tiny-1}]
---
model: {name: tiny, provider: local, provider_model: tiny-1}
---
model: {name: unpriced, provider: local, provider_model: odd-1}
---
model: {name: nowhere, provider: far, provider_model: far-1}
---
role: {name: finance-ops, members: [owner]}
"""
CAN: tuple[DutyKind, ...] = ("route", "max_output_tokens", "compose")


def call(
    model: str = "small",
    *,
    tokens: int = 2000,
    output: int = 500,
    fulfils: tuple[DutyKind, ...] = CAN,
    endpoint: str = "chat_completions",
) -> Action:
    """A model call by the gateway."""
    estimate = Usage(input_tokens=tokens, output_tokens=output)
    return Action("model", model, {"endpoint": endpoint}, estimate, fulfils=fulfils)


def put(
    action: Action, policy: str = "", budgets: str = "", **changes: Any
) -> tuple[Ruling, Progress, StillFacts]:
    """Put an action through the gates."""
    facts = StillFacts(catalogue(WORLD % budgets, policy), **changes)
    ruling, progress = decide(action, facts)
    return ruling, progress, facts


def reason(progress: Progress) -> str:
    assert progress.routed is not None
    return progress.routed.reason
