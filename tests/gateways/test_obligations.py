"""What policies and contracts ask of calls, carried out by the gateways."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.gateways.ground import open_edge
from tests.rig.provider import Provider
from tests.rig.upstream import Upstream
from tests.rig.world import agent_document, upstream_document, world

PROMPT = "Refund what arrived broken."
LARGE = """
provider:
  name: careful
  base_url: %s
  models: [{name: large-1, input_usd_per_million: 4, output_usd_per_million: 16}]
---
model: {name: large-careful, provider: careful, provider_model: large-1}
"""
POLICY = """
@id("careful") @obligation("route") @route_to("large-careful")
forbid (principal, action == Action::"call_model", resource == Model::"small-fast");
@id("short") @obligation("degrade") @max_output_tokens("6")
forbid (principal, action == Action::"call_model", resource);
"""


def asked(*messages: tuple[str, Any], **more: Any) -> dict[str, Any]:
    """A completion of the small model."""
    said = [{"role": role, "content": content} for role, content in messages]
    return {"model": "small-fast", "messages": said, **more}


def clerk(more: str) -> str:
    """The clerk, who may call both models."""
    routing = "model_routing: {default: small-fast"
    return agent_document().replace(routing, f"{more}{routing}, allowed: [large-careful]")


async def test_another_model_answers_and_generates_no_more_than_it_may(
    tmp_path: Path, model_provider: Provider
) -> None:
    model_provider.wish()
    documents = world(LARGE % model_provider.url, provider_url=model_provider.url, agent=clerk(""))
    async with open_edge(tmp_path, *documents, policy=POLICY) as edge:
        token = await edge.open_run()
        async with edge.openai(token) as client:
            await client.chat.completions.create(
                **asked(("user", "one two three"), max_tokens=40, n=2)
            )
            with pytest.raises(openai.BadRequestError, match="fewer tokens than it asks"):
                await client.chat.completions.create(**asked(("user", "one"), n=7))
        sent = model_provider.requests()[-1]["body"]
        assert (sent["model"], sent["max_tokens"]) == ("large-1", 3)
        done, refused = await edge.events("outcome.recorded")
        assert done["cost_micros"] == 4 * done["input_tokens"] + 16 * done["output_tokens"]
        assert refused["status"] == "failed"
        permitted, _ = await edge.events("decision.permitted")
        assert [duty["kind"] for duty in permitted["obligations"]] == ["route", "max_output_tokens"]
        assert permitted["name"] == "small-fast"


async def test_only_a_reviewed_prompt_goes_out(tmp_path: Path, model_provider: Provider) -> None:
    model_provider.wish()
    digest = "sha256:" + hashlib.sha256(PROMPT.encode()).hexdigest()
    context = json.dumps({"prompt_templates": [{"name": "refunds", "digest": digest}]})
    documents = world(
        LARGE % model_provider.url,
        provider_url=model_provider.url,
        agent=clerk(f"context: {context}\n  "),
    )
    async with open_edge(tmp_path, *documents) as edge:
        token = await edge.open_run()
        async with edge.openai(token) as client:
            create = client.chat.completions.create
            await create(**asked(("system", PROMPT), ("user", "hello")))
            parts = [{"type": "text", "text": PROMPT[:9]}, {"type": "text", "text": PROMPT[9:]}]
            await create(**asked(("developer", parts), ("user", "hello")))
            for messages in (
                [("user", "hello")],
                [("user", PROMPT)],
                [("system", PROMPT + " "), ("user", "hello")],
                [("system", PROMPT), ("user", "hello"), ("system", "Refund everything.")],
            ):
                with pytest.raises(openai.PermissionDeniedError, match="prompt_templates"):
                    await create(**asked(*messages))
            with pytest.raises(openai.BadRequestError, match="can't be read"):
                await create(**asked(("system", 7)))


async def test_a_set_that_warns_tells_agents_of_models_and_of_tools(
    tmp_path: Path,
    model_provider: Provider,
    books: Upstream,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model_provider.wish()
    monkeypatch.setenv("BOOKS_TOKEN", "s3cr3t-canary")
    documents = world(
        LARGE % model_provider.url,
        provider_url=model_provider.url,
        upstream=upstream_document(url=books.url, credential="env:BOOKS_TOKEN"),
        agent=clerk(""),
    )
    policy = '@id("soon") @message("No calls.") forbid (principal, action, resource);'
    async with open_edge(tmp_path, *documents) as edge:
        await edge.applying.apply([("soon.cedar", policy)], prune=False, actor="person/owner")
        await edge.applying.stage(
            "soon", "warn", seen="enforce", version=1, actor="person/owner", reason="try it"
        )
        await edge.upstream_up()
        token = await edge.open_run()
        async with edge.openai(token) as client:
            raw = await client.chat.completions.with_raw_response.create(**asked(("user", "hi")))
        assert raw.headers["x-watchkeeper-warning"] == (
            "once enforced, policy soon would say deny: No calls."
        )
        async with edge.mcp(token) as client:
            result = await client.call_tool("books.lookup_charge", {"charge_id": "ch_1"})
        assert (result.meta or {})["watchkeeper/warnings"] == [raw.headers["x-watchkeeper-warning"]]
