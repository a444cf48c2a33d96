"""Models that lead to one another, and agents that call them through the gateway."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.gateways.ground import Edge
from tests.rig.provider import Provider
from tests.rig.upstream import Upstream
from tests.rig.world import agent_document, upstream_document, world

MODELS = """
provider:
  name: careful
  base_url: %s
  models:
    - {name: large-1, input_usd_per_million: 4, output_usd_per_million: 16}
    - {name: cheap-1, input_usd_per_million: 0.1, output_usd_per_million: 0.1}
---
model: {name: large-careful, provider: careful, provider_model: large-1}
---
model:
  name: unsure
  provider: careful
  provider_model: cheap-1
  escalates_to: large-careful
  escalate_on:
    - output_matches: "(?i)not sure"
    - output_fails_schema: {type: object, required: [refund], properties: {refund: {type: integer}}}
---
model: {name: both, ensemble: {models: [small-fast, large-careful], adjudicator: cheap}}
---
model: {name: cheap, provider: careful, provider_model: cheap-1}
---
model:
  name: least
  strategy: cheapest
  targets:
    - {provider: careful, model: large-1}
    - {provider: careful, model: cheap-1}
    - {provider: local, model: small-1}
---
model:
  name: tried
  provider: careful
  provider_model: cheap-1
  canary: {model: large-careful, versions: ["clerk@1"]}
---
model: {name: watched, provider: careful, provider_model: cheap-1, by_risk: {high: large-careful}}
"""
REFUND = "escalate_on: [{tool_error_rate_gt: 0.05}, {amount_usd_ge: 200}]"
ALLOWED = "allowed: [unsure, both, least, tried, watched]"
ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "one two three"}]}


def documents(provider: Provider, upstream: Upstream | None = None) -> list[str]:
    """A clerk that escalates as the refund assistant does, to the model that its default names."""
    agent = agent_document().replace(
        "default: small-fast", f"default: small-fast, {REFUND}, {ALLOWED}"
    )
    found = world(
        MODELS % provider.url,
        provider_url=provider.url,
        agent=agent,
        upstream=upstream_document(url=upstream.url, credential="env:BOOKS_TOKEN")
        if upstream
        else "",
    )
    return [one.replace("provider_model: small-1}", "provider_model: small-1, escalates_to: "
                        "large-careful}") for one in found]  # fmt: skip


def models_sent(provider: Provider, since: int = 0) -> list[str]:
    return [one["body"]["model"] for one in provider.requests()[since:]]


@dataclass(frozen=True)
class Said:
    """What the caller of a model was given."""

    headers: Mapping[str, str]
    text: str


async def ask(
    edge: Edge, token: str, model: str = "small-fast", *, stream: bool = False, **more: Any
) -> Said:
    """Call a model, and return the answer as a client reads it."""
    async with edge.openai(token) as client:
        create = client.chat.completions.with_raw_response.create
        raw: Any = await create(model=model, stream=stream, **ASK, **more)
        if not stream:
            return Said(raw.headers, str(raw.parse().choices[0].message.content))
        chunks = [chunk async for chunk in raw.parse()]
        text = "".join(one.choices[0].delta.content or "" for one in chunks if one.choices)
        return Said(raw.headers, text.strip())


def route(said: Said) -> tuple[str, str]:
    """Return which model answered, and why."""
    return said.headers["x-watchkeeper-model"], said.headers["x-watchkeeper-route"]


async def no_wait(seconds: float) -> None:
    """Send again at once."""
