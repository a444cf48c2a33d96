"""Models through the gateway, with Anthropic's own client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
import yaml

from tests.gateways.ground import Edge, open_edge
from tests.rig.provider import Provider
from tests.rig.world import POLICY, agent_document, world

ASK: dict[str, Any] = {
    "model": "small-fast",
    "max_tokens": 5,
    "messages": [{"role": "user", "content": "one two three"}],
}
FEW_TOKENS = """
@id("few-tokens")
@obligation("degrade")
@max_output_tokens("3")
forbid (principal, action == Action::"call_model", resource) when { context.est_tokens > 2000 };
"""


def models(provider: Provider, **members: Any) -> str:
    """Return a provider of Anthropic's protocol, and the logical model over it."""
    base_url = provider.url.removesuffix("/v1")
    offered = {
        "name": "claude-small",
        "input_usd_per_million": 3,
        "output_usd_per_million": 15,
        "cache_read_usd_per_million": 0.3,
        "context_window": 200_000,
    }
    local = {"name": "local", "protocol": "anthropic", "base_url": base_url, "models": [offered]}
    model = {"name": "small-fast", "provider": "local", "provider_model": "claude-small"}
    return yaml.safe_dump_all([{"provider": {**local, **members}}, {"model": model}])


def documents(provider: Provider, agent: str | None = None, **members: Any) -> list[str]:
    """Return the world with models of Anthropic's protocol."""
    ready = world(agent=agent or agent_document(hold_seconds=20))
    return [*(one for one in ready if "\nprovider:" not in one), models(provider, **members)]


@pytest.fixture
async def edge(tmp_path: Path, model_provider: Provider) -> AsyncIterator[Edge]:
    """Gateways over the shared provider, which behaves."""
    model_provider.wish()
    async with open_edge(tmp_path, *documents(model_provider)) as opened:
        yield opened
    model_provider.wish()


async def test_a_message_is_forwarded_and_metered(edge: Edge, model_provider: Provider) -> None:
    model_provider.wish(cached=1)
    token = await edge.open_run()
    async with edge.anthropic(token) as client:
        raw = await client.messages.with_raw_response.create(
            **ASK,
            system="Be brief.",
            extra_headers={
                "anthropic-beta": "interleaved-thinking-2025-05-14,mcp-client-2025-11-20"
            },
        )
    message = await raw.parse()
    assert message.content[0].type == "text"
    assert message.content[0].text == "one two three one two"
    assert raw.headers["x-watchkeeper-decision"].startswith("dec_")
    assert raw.headers["request-id"] == "req_rig"
    sent = model_provider.requests()[-1]
    assert sent["path"] == "/v1/messages"
    assert (sent["authorization"], sent["key"]) == (None, None)
    assert sent["version"] == raw.http_request.headers["anthropic-version"]
    assert sent["betas"] == "interleaved-thinking-2025-05-14"
    assert sent["body"] == {**ASK, "model": "claude-small", "system": "Be brief."}
    recorded = await edge.outcome()
    assert recorded["status"] == "succeeded"
    assert (recorded["input_tokens"], recorded["output_tokens"]) == (3, 5)
    assert recorded["cost_micros"] == -(-(2 * 3_000_000 + 300_000 + 5 * 15_000_000) // 1_000_000)


async def test_the_credential_goes_where_the_document_says(
    tmp_path: Path, model_provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVIDER_KEY", "sk-ant-canary")
    credential = {"from": "env:PROVIDER_KEY", "header": "x-api-key", "prefix": ""}
    model_provider.wish()
    async with open_edge(tmp_path, *documents(model_provider, credential=credential)) as edge:
        token = await edge.open_run()
        async with edge.anthropic(token) as client:
            await client.messages.create(**ASK)
    sent = model_provider.requests()[-1]
    assert (sent["authorization"], sent["key"]) == (None, "sk-ant-canary")


def test_the_client_that_waits_works_too(tmp_path: Path, model_provider: Provider) -> None:
    async def ask() -> Any:
        async with open_edge(tmp_path, *documents(model_provider)) as edge:
            token = await edge.open_run()
            base_url = f"{edge.url}/anthropic"

            def call() -> Any:
                with anthropic.Anthropic(auth_token=token, base_url=base_url) as client:
                    return client.messages.create(**ASK).content[0].to_dict()

            return await asyncio.to_thread(call)

    model_provider.wish()
    assert asyncio.run(ask())["text"] == "one two three one two"


async def test_a_stream_passes_unchanged(edge: Edge, model_provider: Provider) -> None:
    token = await edge.open_run()
    asked = {**ASK, "stream": True}
    url = f"{edge.url}/anthropic/v1/messages"
    async with edge.http.post(url, json=asked, headers={"x-api-key": token}) as answer:
        governed = await answer.read()
    async with edge.http.post(
        f"{model_provider.url}/messages", json={**asked, "model": "claude-small"}
    ) as answer:
        assert governed == await answer.read()
    recorded = await edge.outcome()
    assert (recorded["status"], recorded["output_tokens"]) == ("succeeded", 5)


async def test_thinking_tools_and_images_pass(edge: Edge, model_provider: Provider) -> None:
    model_provider.wish(think=True, call={"name": "pay", "arguments": {"amount": 5}})
    token = await edge.open_run()
    image = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    asked: Any = {
        **ASK,
        "max_tokens": 3000,
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "tools": [{"name": "pay", "input_schema": {"type": "object", "properties": {}}}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": image},
                    {"type": "text", "text": "what is this"},
                ],
            }
        ],
    }
    async with edge.anthropic(token) as client:
        async with client.messages.stream(**asked) as stream:
            streamed = await stream.get_final_message()
        whole = await client.messages.create(**asked)
    for message in (streamed, whole):
        thought, called = (block.to_dict() for block in message.content)
        assert (thought["type"], thought["signature"]) == ("thinking", "c2ln")
        assert (called["type"], called["input"]) == ("tool_use", {"amount": 5})
    sent = model_provider.requests()[-1]["body"]
    assert sent["messages"] == asked["messages"]
    assert sent["thinking"] == asked["thinking"]


async def test_tokens_are_counted_for_nothing_and_on_record(
    edge: Edge, model_provider: Provider
) -> None:
    token = await edge.open_run()
    async with edge.anthropic(token) as client:
        counted = await client.messages.count_tokens(model="small-fast", messages=ASK["messages"])
    assert counted.input_tokens == 3
    sent = model_provider.requests()[-1]
    assert sent["path"] == "/v1/messages/count_tokens"
    assert sent["body"] == {"model": "claude-small", "messages": ASK["messages"]}
    recorded = await edge.outcome()
    assert (recorded["status"], recorded["cost_micros"]) == ("succeeded", 0)
    assert (recorded["input_tokens"], recorded["output_tokens"]) == (0, 0)
    assert len(await edge.events("decision.permitted")) == 1


async def test_a_count_is_refused_like_a_call(edge: Edge, model_provider: Provider) -> None:
    token = await edge.open_run()
    await edge.stop_agent()
    before = len(model_provider.requests())
    async with edge.anthropic(token, retries=2) as client:
        with pytest.raises(anthropic.PermissionDeniedError, match="lock/"):
            await client.messages.count_tokens(model="small-fast", messages=ASK["messages"])
    assert len(model_provider.requests()) == before
    assert len(await edge.events("decision.denied")) == 1


async def test_a_count_that_no_provider_serves_is_404_and_on_record(
    tmp_path: Path, model_provider: Provider
) -> None:
    model_provider.wish()
    before = len(model_provider.requests())
    async with open_edge(tmp_path, *documents(model_provider, endpoints=["messages"])) as edge:
        token = await edge.open_run()
        async with edge.anthropic(token, retries=2) as client:
            with pytest.raises(anthropic.NotFoundError, match="count_tokens") as refused:
                await client.messages.count_tokens(model="small-fast", messages=ASK["messages"])
            await client.messages.create(**ASK)
        assert refused.value.type == "not_found_error"
        assert len(await edge.events("decision.denied")) == 1
    assert len(model_provider.requests()) == before + 1


async def test_a_model_of_another_protocol_is_not_served_here(
    tmp_path: Path, model_provider: Provider
) -> None:
    model_provider.wish()
    ready = world(provider_url=model_provider.url)
    async with open_edge(tmp_path, *ready) as edge:
        token = await edge.open_run()
        async with edge.anthropic(token) as client:
            with pytest.raises(anthropic.NotFoundError, match="it does not serve messages"):
                await client.messages.create(**ASK)
            assert [model.id async for model in client.models.list()] == []


async def test_models_are_listed_in_the_clients_shape(edge: Edge) -> None:
    token = await edge.open_run()
    async with edge.anthropic(token) as client:
        assert [model.id async for model in client.models.list()] == ["small-fast"]
        assert (await client.models.retrieve("small-fast")).display_name == "small-fast"
        with pytest.raises(anthropic.NotFoundError):
            await client.models.retrieve("other")


async def test_a_kill_cuts_a_stream_with_an_error_and_meters_it(
    edge: Edge, model_provider: Provider
) -> None:
    model_provider.wish(hold_after_words=2)
    token = await edge.open_run()
    async with edge.anthropic(token, retries=2) as client:
        stream = await client.messages.create(**ASK, stream=True)
        events = aiter(stream)
        while (await anext(events)).type != "content_block_delta":
            pass
        lock = await edge.stop_agent()
        with pytest.raises(anthropic.APIStatusError, match=f"lock {lock}") as cut:
            async for _ in events:
                pass
        assert cut.value.type == "permission_error"
        recorded = await edge.outcome()
        assert recorded["status"] == "unknown"
        assert 4 <= recorded["output_tokens"] <= 8
        with pytest.raises(anthropic.PermissionDeniedError) as refused:
            await client.messages.create(**ASK)
    assert refused.value.response.headers["x-should-retry"] == "false"
    assert refused.value.error_code == "denied"


async def test_a_stream_that_breaks_off_is_an_error_to_the_caller(
    edge: Edge, model_provider: Provider
) -> None:
    model_provider.wish(break_after_words=2)
    token = await edge.open_run()
    async with edge.anthropic(token) as client:
        with pytest.raises(anthropic.APIStatusError, match="provider local"):
            async for _ in await client.messages.create(**ASK, stream=True):
                pass
    recorded = await edge.outcome()
    assert recorded["status"] == "failed"
    assert recorded["input_tokens"] == 3


async def test_a_providers_own_error_in_a_stream_passes(
    edge: Edge, model_provider: Provider
) -> None:
    model_provider.wish(fail_after_words=1, message="so sorry")
    token = await edge.open_run()
    async with edge.anthropic(token) as client:
        with pytest.raises(anthropic.APIStatusError, match="so sorry"):
            async for _ in await client.messages.create(**ASK, stream=True):
                pass
    assert (await edge.outcome())["status"] == "failed"


async def test_an_exhausted_budget_is_402_and_asked_once(
    edge: Edge, model_provider: Provider
) -> None:
    await edge.apply(agent_document(budgets={"max_cost_usd_per_run": 0.0001}))
    token = await edge.open_run()
    before = len(model_provider.requests())
    async with edge.anthropic(token, retries=2) as client:
        with pytest.raises(anthropic.APIStatusError) as refused:
            await client.messages.create(**ASK)
    assert refused.value.status_code == 402
    assert refused.value.type == "billing_error"
    assert refused.value.response.headers["x-should-retry"] == "false"
    assert len(model_provider.requests()) == before
    assert len(await edge.events("decision.denied")) == 1
    async with edge.anthropic(token) as client:
        counted = await client.messages.count_tokens(model="small-fast", messages=ASK["messages"])
    assert counted.input_tokens == 3, "a count costs nothing"


@pytest.mark.parametrize("status", [401, 500, 529])
async def test_a_provider_that_fails_is_502_without_its_words(
    edge: Edge, model_provider: Provider, status: int
) -> None:
    model_provider.wish(status=status, message="key sk-canary is wrong")
    token = await edge.open_run()
    async with edge.anthropic(token) as client:
        with pytest.raises(anthropic.InternalServerError) as failed:
            await client.messages.create(**ASK)
    assert failed.value.type == "api_error"
    assert "canary" not in str(failed.value)


async def test_what_the_caller_got_wrong_comes_back_as_the_provider_said_it(
    edge: Edge, model_provider: Provider
) -> None:
    model_provider.wish(status=400, message="temperature must not exceed 1")
    token = await edge.open_run()
    async with edge.anthropic(token) as client:
        with pytest.raises(anthropic.BadRequestError, match="temperature must not exceed 1"):
            await client.messages.create(**ASK)


async def test_what_is_wrong_here_is_said_in_the_clients_shape(edge: Edge) -> None:
    token = await edge.open_run()
    async with edge.anthropic("wkr_" + "x" * 43, retries=2) as client:
        with pytest.raises(anthropic.AuthenticationError) as unknown:
            await client.messages.create(**ASK)
        assert unknown.value.type == "authentication_error"
    async with edge.anthropic(token, retries=2) as client:
        with pytest.raises(anthropic.BadRequestError) as bad:
            await client.messages.create(**{**ASK, "max_tokens": -1})
        assert (bad.value.type, bad.value.error_code) == ("invalid_request_error", "malformed")
        with pytest.raises(anthropic.NotFoundError, match="/v1/messages for each"):
            await client.messages.batches.list()
        with pytest.raises(anthropic.PermissionDeniedError, match="unknown-members"):
            await client.beta.messages.create(**ASK, fallbacks="default")


async def test_a_stop_is_asked_once_by_the_client(edge: Edge, model_provider: Provider) -> None:
    token = await edge.open_run()
    lock = await edge.stop_agent()
    before = len(model_provider.requests())
    async with edge.anthropic(token, retries=3) as client:
        with pytest.raises(anthropic.PermissionDeniedError, match=lock):
            await client.messages.create(**ASK)
    assert len(model_provider.requests()) == before
    assert len(await edge.events("decision.denied")) == 1


async def test_a_policy_lowers_the_ceiling(tmp_path: Path, model_provider: Provider) -> None:
    model_provider.wish()
    policy = POLICY + FEW_TOKENS
    async with open_edge(tmp_path, *documents(model_provider), policy=policy) as edge:
        token = await edge.open_run()
        text = "word " * 4000
        async with edge.anthropic(token) as client:
            message = await client.messages.create(
                **{**ASK, "messages": [{"role": "user", "content": text}]}
            )
    assert message.usage.output_tokens == 3
    assert model_provider.requests()[-1]["body"]["max_tokens"] == 3


async def test_only_a_reviewed_prompt_passes(tmp_path: Path, model_provider: Provider) -> None:
    import hashlib

    digest = "sha256:" + hashlib.sha256(b"Be brief.").hexdigest()
    contract = yaml.safe_load(agent_document())
    contract["agent"]["context"] = {"prompt_templates": [{"name": "brief", "digest": digest}]}
    model_provider.wish()
    ready = documents(model_provider, agent=json.dumps(contract))
    async with open_edge(tmp_path, *ready) as edge:
        token = await edge.open_run()
        async with edge.anthropic(token) as client:
            await client.messages.create(**ASK, system="Be brief.")
            await client.messages.create(**ASK, system=[{"type": "text", "text": "Be brief."}])
            late: Any = [*ASK["messages"], {"role": "system", "content": "Or do not."}]
            for asked in (
                ASK,
                {**ASK, "system": "Be long."},
                {**ASK, "system": "Be brief.", "messages": late},
            ):
                with pytest.raises(anthropic.PermissionDeniedError, match="prompt_templates"):
                    await client.messages.create(**asked)
