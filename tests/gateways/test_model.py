"""Models through the gateway, with the official client of the protocol."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.gateways.ground import Edge, bodies, open_edge
from tests.rig.deadline import eventually_async
from tests.rig.provider import Provider
from tests.rig.world import agent_document, world
from watchkeeper.core.errors import Forbidden
from watchkeeper.wire.decisions import Outcome

ASK: dict[str, Any] = {
    "model": "small-fast",
    "messages": [{"role": "user", "content": "one two three"}],
}
BIG_POLICY = """
@id("contracts-permit")
permit (principal, action, resource);
@id("long-prompts")
@message("A person looks at long prompts first.")
@obligation("require_approval")
@approver_role("finance-ops")
@sla("15m")
forbid (principal, action == Action::"call_model", resource)
when { context.est_tokens > 10000 } unless { context.approvals.contains("finance-ops") };
"""


@pytest.fixture
async def edge(tmp_path: Path, model_provider: Provider) -> AsyncIterator[Edge]:
    """Gateways over the shared provider, which behaves."""
    model_provider.wish()
    documents = world(provider_url=model_provider.url, agent=agent_document(hold_seconds=20))
    async with open_edge(tmp_path, *documents, policy=BIG_POLICY) as opened:
        yield opened
    model_provider.wish()


async def test_a_completion_is_forwarded_and_metered(edge: Edge, model_provider: Provider) -> None:
    token = await edge.open_run()
    async with edge.openai(token) as client:
        raw = await client.chat.completions.with_raw_response.create(**ASK, max_tokens=5)
    completion = raw.parse()
    assert completion.choices[0].message.content == "one two three one two"
    assert raw.headers["x-watchkeeper-decision"].startswith("dec_")
    sent = model_provider.requests()[-1]["body"]
    assert model_provider.requests()[-1]["authorization"] is None
    assert sent["model"] == "small-1"
    assert sent["max_tokens"] == 5
    recorded = await edge.outcome()
    assert recorded["status"] == "succeeded"
    assert (recorded["input_tokens"], recorded["output_tokens"]) == (3, 5)
    assert recorded["cost_micros"] == -(-(3 * 400_000 + 5 * 1_600_000) // 1_000_000)


async def test_only_allowed_models_are_listed(edge: Edge) -> None:
    token = await edge.open_run()
    async with edge.openai(token) as client:
        listed = [model.id async for model in client.models.list()]
    assert listed == ["small-fast"]


async def test_a_stream_passes_unchanged_and_usage_only_where_asked_for(
    edge: Edge, model_provider: Provider
) -> None:
    token = await edge.open_run()
    asked = {**ASK, "stream": True, "max_tokens": 4}
    async with edge.http.post(
        f"{edge.url}/openai/v1/chat/completions",
        json=asked,
        headers={"authorization": f"Bearer {token}"},
    ) as answer:
        governed = await answer.read()
    direct_url = f"{model_provider.url}/chat/completions"
    async with edge.http.post(direct_url, json={**asked, "model": "small-1"}) as answer:
        assert governed == await answer.read()
    recorded = await edge.outcome()
    assert (recorded["status"], recorded["output_tokens"]) == ("succeeded", 4)
    with_usage = {**asked, "stream_options": {"include_usage": True}}
    async with edge.openai(token) as client:
        chunks = [chunk async for chunk in await client.chat.completions.create(**with_usage)]
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 4


async def test_a_stream_arrives_word_by_word(edge: Edge, model_provider: Provider) -> None:
    model_provider.wish(hold_after_words=2)
    token = await edge.open_run()
    async with edge.openai(token) as client:
        stream = await client.chat.completions.create(**ASK, stream=True)
        chunks = aiter(stream)
        first = [await anext(chunks), await anext(chunks)]
        assert [chunk.choices[0].delta.content for chunk in first] == ["one ", "two "]
        model_provider.wish()
        assert len([chunk async for chunk in chunks]) > 0


async def test_a_kill_cuts_a_stream_with_an_error_and_meters_it(
    edge: Edge, model_provider: Provider
) -> None:
    model_provider.wish(hold_after_words=2)
    token = await edge.open_run()
    async with edge.openai(token) as client:
        stream = await client.chat.completions.create(**ASK, stream=True)
        chunks = aiter(stream)
        await anext(chunks)
        await anext(chunks)
        lock = await edge.stop_agent()
        with pytest.raises(openai.APIError, match=f"lock {lock}"):
            await anext(chunks)
        recorded = await edge.outcome()
        assert recorded["status"] == "unknown"
        assert recorded["output_tokens"] == 8  # "one two ": a token a byte
        assert "estimate" in recorded["error"]
        with pytest.raises(openai.PermissionDeniedError) as refused:
            await client.chat.completions.create(**ASK)
    assert refused.value.body is not None
    assert refused.value.body["rule"] == f"lock/{lock}"  # type: ignore[index]


async def test_an_agent_cannot_say_first_what_the_planes_own_call_cost(
    edge: Edge, model_provider: Provider
) -> None:
    model_provider.wish(hold_after_words=2)
    token = await edge.open_run()
    async with edge.openai(token) as client:
        stream = await client.chat.completions.create(**ASK, stream=True)
        await anext(aiter(stream))
        decision = stream.response.headers["x-watchkeeper-decision"]
        with pytest.raises(Forbidden, match="the plane performs this itself"):
            await edge.decider.settle(decision, Outcome(status="failed"), token=token)
        model_provider.wish()
        async for _ in stream:
            pass
    recorded = await edge.outcome()
    assert recorded["status"] == "succeeded"
    assert recorded["cost_micros"] > 0


async def test_a_kill_cuts_a_whole_answer_too(edge: Edge, model_provider: Provider) -> None:
    model_provider.wish(hold_after_words=0)
    token = await edge.open_run()
    before = len(model_provider.requests())
    async with edge.openai(token) as client:
        call = asyncio.create_task(client.chat.completions.create(**ASK))

        async def asked() -> bool:
            return len(model_provider.requests()) > before

        await eventually_async(asked, "the provider is asked")
        lock = await edge.stop_agent()
        with pytest.raises(openai.PermissionDeniedError, match=lock):
            await call
    recorded = await edge.outcome()
    assert recorded["status"] == "unknown"
    assert recorded["input_tokens"] > 0


async def test_a_caller_that_hangs_up_is_still_metered(
    edge: Edge, model_provider: Provider
) -> None:
    model_provider.wish(hold_after_words=2)
    token = await edge.open_run()
    async with edge.openai(token) as client:
        stream = await client.chat.completions.create(**ASK, stream=True)
        chunks = aiter(stream)
        await anext(chunks)
        await anext(chunks)
        await stream.close()
    recorded = await edge.outcome()
    assert recorded["status"] == "unknown"
    assert recorded["output_tokens"] == 8
    assert "hung up" in recorded["error"]


async def test_who_hangs_up_after_the_last_event_has_had_all_of_it(
    edge: Edge, model_provider: Provider
) -> None:
    model_provider.wish(say="yes indeed", hold_after_words=2)
    token = await edge.open_run()
    async with edge.openai(token) as client:
        stream = await client.chat.completions.create(**ASK, stream=True)
        said = [chunk async for chunk in stream]
    assert said
    recorded = await edge.outcome()
    assert (recorded["status"], recorded["error"]) == ("succeeded", None)
    assert recorded["output_tokens"] > 0


async def test_a_stream_that_breaks_off_is_an_error_to_the_caller(
    edge: Edge, model_provider: Provider
) -> None:
    model_provider.wish(break_after_words=2)
    token = await edge.open_run()
    async with edge.openai(token) as client:
        stream = await client.chat.completions.create(**ASK, stream=True)
        with pytest.raises(openai.APIError, match="provider local"):
            async for _ in stream:
                pass
    recorded = await edge.outcome()
    assert recorded["status"] == "failed"
    assert recorded["output_tokens"] == 8


async def test_an_exhausted_budget_is_402_and_not_retried(
    edge: Edge, model_provider: Provider
) -> None:
    await edge.apply(agent_document(budgets={"max_cost_usd_per_run": 0.0001}))
    token = await edge.open_run()
    before = len(model_provider.requests())
    async with edge.openai(token, retries=2) as client:
        with pytest.raises(openai.APIStatusError) as refused:
            await client.chat.completions.create(**ASK)
    assert refused.value.status_code == 402
    assert refused.value.response.headers["x-should-retry"] == "false"
    assert refused.value.body["code"] == "budget_exceeded"  # type: ignore[index]
    assert len(model_provider.requests()) == before
    assert len(await edge.events("decision.denied")) == 1


async def test_a_model_outside_the_contract_is_403_and_on_record(edge: Edge) -> None:
    token = await edge.open_run()
    async with edge.openai(token, retries=2) as client:
        with pytest.raises(openai.PermissionDeniedError) as refused:
            await client.chat.completions.create(**{**ASK, "model": "large-slow"})
        assert refused.value.response.headers["x-watchkeeper-decision"].startswith("dec_")
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.create(**{**ASK, "model": "GPT 5"})
    assert len(await edge.events("decision.denied")) == 1


async def test_a_tool_that_runs_at_the_provider_is_refused(edge: Edge) -> None:
    token = await edge.open_run()
    async with edge.openai(token) as client:
        remote: Any = {"type": "mcp", "server_label": "x", "server_url": "https://evil.example"}
        with pytest.raises(openai.PermissionDeniedError, match=r"hosted\.mcp\.x") as refused:
            await client.chat.completions.create(**ASK, tools=[remote])
    assert refused.value.body["rule"] == "contract/clerk/tools"  # type: ignore[index]


@pytest.mark.parametrize("status", [500, 503, 401])
async def test_a_provider_that_fails_is_502_without_its_words(
    edge: Edge, model_provider: Provider, status: int
) -> None:
    model_provider.wish(status=status, message="key sk-canary is wrong")
    token = await edge.open_run()
    async with edge.openai(token) as client:
        with pytest.raises(openai.InternalServerError) as failed:
            await client.chat.completions.create(**ASK)
    assert failed.value.status_code == 502
    assert "canary" not in str(failed.value)
    recorded = await edge.outcome()
    assert (recorded["status"], recorded["cost_micros"]) == ("failed", 0)
    assert ("local", "down") in [row[:2] for row in edge.states]
    model_provider.wish()
    async with edge.openai(token) as client:
        await client.chat.completions.create(**ASK)
    (row,) = [row for row in edge.gateways.upstream_rows() if row.kind == "model"]
    assert (row.name, row.state) == ("local", "up")


async def test_what_the_caller_got_wrong_comes_back_as_the_provider_said_it(
    edge: Edge, model_provider: Provider
) -> None:
    model_provider.wish(status=400, message="temperature must not exceed 2")
    token = await edge.open_run()
    async with edge.openai(token) as client:
        with pytest.raises(openai.BadRequestError, match="temperature must not exceed 2"):
            await client.chat.completions.create(**ASK)


async def test_a_provider_that_is_not_there_is_502(
    tmp_path: Path,
) -> None:
    async with open_edge(tmp_path, *world()) as edge:
        token = await edge.open_run()
        async with edge.openai(token) as client:
            with pytest.raises(openai.InternalServerError, match="provider local"):
                await client.chat.completions.create(**ASK)
        assert (await edge.outcome())["input_tokens"] == 0


async def test_a_long_prompt_waits_for_a_person(edge: Edge) -> None:
    token = await edge.open_run()
    long = {**ASK, "messages": [{"role": "user", "content": "word " * 8000}]}
    async with edge.openai(token) as client:
        call = asyncio.create_task(client.chat.completions.create(**long, max_tokens=3))
        await edge.vote()
        completion = await call
        assert completion.choices[0].message.content == "word word word"
        await edge.apply(agent_document(hold_seconds=0))
        with pytest.raises(openai.PermissionDeniedError) as pending:
            await client.chat.completions.create(**long, max_tokens=4)
    body: Any = pending.value.body
    assert body["code"] == "approval_pending"
    assert body["request"].startswith("req_")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed"),
        (b"[]", 400, "malformed"),
        (b'{"model":"small-fast"}', 400, "malformed"),
        (b'{"model":"small-fast","messages":[],"n":0}', 400, "malformed"),
        (b'{"model":"small-fast","messages":[],"max_tokens":-1}', 400, "malformed"),
        (b'{"model":"\xff","messages":[]}', 400, "malformed"),
        (b'{"model":"x","messages":' + b"[" * 20_000, 400, "malformed"),
        (b"", 400, "malformed"),
    ],
)
async def test_bad_bodies_get_a_clear_error(
    edge: Edge, body: bytes, status: int, code: str
) -> None:
    token = await edge.open_run()
    async with edge.http.post(
        f"{edge.url}/openai/v1/chat/completions",
        data=body,
        headers={"authorization": f"Bearer {token}", "content-type": "application/json"},
    ) as answer:
        assert answer.status == status
        assert (await answer.json())["error"]["code"] == code


async def test_a_body_beyond_the_limit_is_413(edge: Edge) -> None:
    token = await edge.open_run()
    long = json.dumps({**ASK, "user": "x" * (8 * 1024 * 1024)}).encode()

    async def in_pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(long), 65_536):
            yield long[start : start + 65_536]

    for body in (io.BytesIO(long), in_pieces()):
        async with edge.http.post(
            f"{edge.url}/openai/v1/chat/completions",
            data=body,
            headers={"authorization": f"Bearer {token}"},
        ) as answer:
            assert answer.status == 413
            assert (await answer.json())["error"]["code"] == "too_large"


async def test_a_large_body_within_the_limit_passes(edge: Edge, model_provider: Provider) -> None:
    token = await edge.open_run()
    await edge.apply(agent_document(hold_seconds=20))
    text = "word " * 300_000
    asked = {**ASK, "messages": [{"role": "user", "content": text}], "max_tokens": 1}
    async with edge.openai(token) as client:
        call = asyncio.create_task(client.chat.completions.create(**asked))
        await edge.vote()
        await call
    assert model_provider.requests()[-1]["body"]["messages"][0]["content"] == text


async def test_a_wrong_token_is_401(edge: Edge) -> None:
    async with edge.openai("wkr_" + "x" * 43) as client:
        with pytest.raises(openai.AuthenticationError):
            await client.chat.completions.create(**ASK)
    async with edge.http.get(f"{edge.url}/openai/v1/models") as answer:
        assert answer.status == 401
        assert "Bearer" in answer.headers["www-authenticate"]
    async with edge.http.post(
        f"{edge.url}/openai/v1/files", headers={"authorization": "Bearer x"}
    ) as answer:
        assert answer.status == 404


async def test_concurrent_streams_do_not_mix(edge: Edge) -> None:
    token = await edge.open_run()

    async def words(number: int) -> str:
        asked = {**ASK, "messages": [{"role": "user", "content": f"n{number}"}], "stream": True}
        async with edge.http.post(
            f"{edge.url}/openai/v1/chat/completions",
            json={**asked, "max_tokens": 8},
            headers={"authorization": f"Bearer {token}"},
        ) as answer:
            lines = bodies((await answer.read()).splitlines())
        deltas = [json.loads(line)["choices"][0]["delta"] for line in lines[:-1]]
        return "".join(delta.get("content", "") for delta in deltas)

    answers = await asyncio.gather(*(words(n) for n in range(20)))
    assert answers == [f"n{n} " * 8 for n in range(20)]
