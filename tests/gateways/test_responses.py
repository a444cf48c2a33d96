"""Responses, embeddings and hosted tools through the gateway, with OpenAI's own client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.gateways.ground import Edge, open_edge
from tests.rig.provider import Provider
from tests.rig.world import agent_document, world
from watchkeeper.gateways.model.dialects.responses import RESPONSES

ASK: dict[str, Any] = {"model": "small-fast", "input": "one two three"}


@pytest.fixture
async def edge(tmp_path: Path, model_provider: Provider) -> AsyncIterator[Edge]:
    """Gateways over the shared provider, which behaves."""
    model_provider.wish()
    documents = world(provider_url=model_provider.url, agent=agent_document(hold_seconds=20))
    async with open_edge(tmp_path, *documents) as opened:
        yield opened
    model_provider.wish()


def says(provider: Provider, *events: Any, **more: Any) -> None:
    """Have the provider send these events, or bytes, and nothing else."""
    pieces = [
        one if isinstance(one, str) else f"event: {one['type']}\ndata: {json.dumps(one)}\n\n"
        for one in events
    ]
    provider.wish(said={"pieces": pieces, **more})


async def test_a_response_is_forwarded_and_metered(edge: Edge, model_provider: Provider) -> None:
    token = await edge.open_run()
    async with edge.openai(token) as client:
        raw = await client.responses.with_raw_response.create(**ASK, max_output_tokens=5)
    response = raw.parse()
    assert response.output_text == "one two three one two"
    assert raw.headers["x-watchkeeper-decision"].startswith("dec_")
    sent = model_provider.requests()[-1]["body"]
    assert sent == {"model": "small-1", "input": "one two three", "max_output_tokens": 5}
    (recorded,) = await edge.outcomes()
    assert (recorded["status"], recorded["output_tokens"]) == ("succeeded", 5)
    assert recorded["cache_read_tokens"] == 1
    assert recorded["cost_micros"] > 0


async def test_a_response_streams_byte_for_byte(edge: Edge, model_provider: Provider) -> None:
    token = await edge.open_run()
    asked = {**ASK, "stream": True, "max_output_tokens": 4}
    headers = {"authorization": f"Bearer {token}"}
    async with edge.http.post(
        f"{edge.url}/openai/v1/responses", json=asked, headers=headers
    ) as answer:
        governed = await answer.read()
    async with edge.http.post(
        f"{model_provider.url}/responses", json={**asked, "model": "small-1"}
    ) as answer:
        assert governed == await answer.read()
    async with edge.openai(token) as client:
        events = [event async for event in await client.responses.create(**asked)]
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == "one two three one"
    recorded = await edge.outcomes(2)
    assert [(one["status"], one["output_tokens"]) for one in recorded] == [("succeeded", 4)] * 2


async def test_a_kill_cuts_a_response_with_an_error_of_its_protocol(
    edge: Edge, model_provider: Provider
) -> None:
    model_provider.wish(hold_after_words=2)
    token = await edge.open_run()
    async with edge.openai(token) as client:
        events = aiter(await client.responses.create(**ASK, stream=True))
        async for event in events:
            if event.type == "response.output_text.delta" and event.delta == " two":
                break
        lock = await edge.stop_agent()
        with pytest.raises(openai.APIError, match=f"lock {lock}") as cut:
            await anext(events)
    assert cut.value.body["rule"] == f"lock/{lock}"  # type: ignore[index]
    (recorded,) = await edge.outcomes()
    assert recorded["status"] == "unknown"
    assert 7 <= recorded["output_tokens"] < 20
    assert "estimate" in recorded["error"]


def test_the_synchronous_client_streams_too(model_provider: Provider, tmp_path: Path) -> None:
    async def main() -> tuple[str, str]:
        model_provider.wish()
        async with open_edge(tmp_path, *world(provider_url=model_provider.url)) as edge:
            token = await edge.open_run()
            return await asyncio.to_thread(ask, edge.url, token)

    def ask(url: str, token: str) -> tuple[str, str]:
        with openai.OpenAI(api_key=token, base_url=f"{url}/openai/v1", max_retries=0) as client:
            whole = client.responses.create(**ASK, max_output_tokens=2).output_text
            with client.responses.stream(**ASK, max_output_tokens=3) as stream:
                streamed = stream.get_final_response().output_text
            with pytest.raises(openai.PermissionDeniedError):
                client.responses.create(**{**ASK, "model": "large-slow"})
        return whole, streamed

    assert asyncio.run(main()) == ("one two", "one two three")


async def test_a_failure_within_a_stream_reaches_the_caller_and_the_record(
    edge: Edge, model_provider: Provider
) -> None:
    created = {"type": "response.created", "sequence_number": 0, "response": {"id": "r"}}
    error = {"code": "server_error", "message": "out of luck"}
    failed = {
        "type": "response.failed",
        "response": {"id": "r", "status": "failed", "error": error, "usage": None},
    }
    said = "".join(f"data: {json.dumps(one)}\n\n" for one in (created, failed))
    says(model_provider, said)
    token = await edge.open_run()
    told = ""
    async with edge.openai(token) as client:
        try:
            async for event in await client.responses.create(**ASK, stream=True):
                told = event.type
        except openai.InternalServerError as error:  # nothing was passed on before
            told = str(error)
    assert "response.failed" in told or "provider local" in told
    (recorded,) = await edge.outcomes()
    assert recorded["status"] == "failed"
    assert "server_error" in recorded["error"]
    assert "out of luck" not in recorded["error"]


@pytest.mark.parametrize(
    ("event", "failed", "done"),
    [
        ({"type": "response.failed", "response": {"error": {"code": "x"}}}, True, True),
        ({"type": "response.failed", "response": {"status": "failed"}}, True, True),
        ({"type": "error", "message": "x", "code": "y"}, True, False),
        ({"error": {"message": "x"}}, True, False),
        ({"type": "response.incomplete", "response": {"status": "incomplete"}}, False, True),
        ({"type": "response.completed", "response": {"error": None}}, False, True),
        ({"type": "response.in_progress", "response": {"error": None}}, False, False),
    ],
)
def test_the_end_of_a_stream_is_noticed(event: Any, failed: bool, done: bool) -> None:
    meter = RESPONSES.read(json.dumps(ASK).encode(), {}).meter(1, 1)
    assert meter.take(json.dumps(event).encode(), whole=False), "the caller reads it too"
    assert (meter.failure is not None, meter.done) == (failed, done)


USAGE_LIES: list[tuple[Any, int | None]] = [
    (None, None),
    ({}, None),
    ({"input_tokens": -5, "output_tokens": -5}, None),
    ({"input_tokens": "many", "output_tokens": [1]}, None),
    ({"input_tokens": 3}, None),
    ({"input_tokens": True, "output_tokens": 1.5}, None),
    ({"input_tokens": 3, "output_tokens": 2, "input_tokens_details": "x"}, 2),
]


@pytest.mark.parametrize(("usage", "output"), USAGE_LIES)
async def test_usage_that_can_t_be_believed_is_counted_from_above(
    edge: Edge, model_provider: Provider, usage: Any, output: int | None
) -> None:
    delta = {"type": "response.output_text.delta", "delta": "twelve bytes"}
    response = {"id": "r", "status": "completed", "usage": usage}
    says(model_provider, delta, {"type": "response.completed", "response": response})
    token = await edge.open_run()
    headers = {"authorization": f"Bearer {token}"}
    async with edge.http.post(
        f"{edge.url}/openai/v1/responses", json={**ASK, "stream": True}, headers=headers
    ) as answer:
        assert b"twelve bytes" in await answer.read()
    (recorded,) = await edge.outcomes()
    if output is None:
        assert recorded["output_tokens"] >= len("twelve bytes")
        assert "estimate" in recorded["error"]
        assert recorded["input_tokens"] == 3 or recorded["input_tokens"] > 1024
    else:
        assert recorded["output_tokens"] == output


@pytest.mark.parametrize(
    "pieces",
    [
        ["data: {"],
        ["data: not json\n\n", "\n\n\n", ": comment\n\n"],
        ["event: response.completed\n\n"],
        ["\x00\xff\n\n" * 100],
        ["data: " + "[" * 50_000 + "\n\n"],
        ['data: {"type": "response.output_text.delta", "delta": {"a": 1}}\n\n'],
    ],
)
async def test_a_stream_without_an_end_is_an_error_however_it_is_broken(
    edge: Edge, model_provider: Provider, pieces: list[str]
) -> None:
    says(model_provider, *pieces)
    token = await edge.open_run()
    headers = {"authorization": f"Bearer {token}"}
    async with edge.http.post(
        f"{edge.url}/openai/v1/responses", json={**ASK, "stream": True}, headers=headers
    ) as answer:
        said = await answer.read()
    assert b"provider local" in said
    (recorded,) = await edge.outcomes()
    assert recorded["status"] == "failed"


async def test_an_event_beyond_all_bounds_ends_the_stream(
    edge: Edge, model_provider: Provider
) -> None:
    says(model_provider, "data: {}\n\n", *(["data: " + "x" * 1_000_000] * 20))
    token = await edge.open_run()
    async with edge.openai(token) as client:
        with pytest.raises(openai.APIError, match="too large"):
            async for _ in await client.responses.create(**ASK, stream=True):
                pass


async def test_a_caller_that_hangs_up_on_a_silent_provider_is_metered(
    edge: Edge, model_provider: Provider
) -> None:
    delta = {"type": "response.output_text.delta", "delta": "abc"}
    says(model_provider, delta, then="hang")
    token = await edge.open_run()
    async with edge.openai(token) as client:
        stream = await client.responses.create(**ASK, stream=True, reasoning={"effort": "low"})
        await anext(aiter(stream))
        await stream.close()
    (recorded,) = await edge.outcomes()
    assert recorded["status"] == "unknown"
    assert recorded["output_tokens"] == 4096, "thoughts that nobody was shown are paid for too"


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        ({"background": True}, "gateway/background"),
        ({"service_tier": "priority"}, "gateway/service-tier"),
        ({"extra_body": {"models": ["dear"]}}, "gateway/leading-on"),
        ({"tools": [{"type": "web_search"}]}, "contract/clerk/tools"),
        ({"tools": [{"type": "of_the_future"}]}, "contract/clerk/tools"),
        ({"tools": [{"type": "shell"}]}, "contract/clerk/tools"),
        ({"tool_choice": {"type": "code_interpreter"}}, "contract/clerk/tools"),
        ({"prompt": {"id": "pmpt_1"}}, "contract/clerk/tools"),
        (
            {"input": [{"type": "additional_tools", "role": "developer",
                        "tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}]},
            "contract/clerk/tools",
        ),
        (
            {"input": [{"type": "mcp_approval_response", "approval_request_id": "m",
                        "approve": True}]},
            "gateway/approval-response",
        ),
    ],
)  # fmt: skip
async def test_what_would_go_past_the_plane_is_refused(
    edge: Edge, model_provider: Provider, more: dict[str, Any], rule: str
) -> None:
    before = len(model_provider.requests())
    token = await edge.open_run()
    async with edge.openai(token, retries=2) as client:
        with pytest.raises(openai.PermissionDeniedError) as refused:
            await client.responses.create(**{**ASK, **more})
    assert refused.value.body["rule"] == rule  # type: ignore[index]
    assert refused.value.response.headers["x-should-retry"] == "false"
    assert len(model_provider.requests()) == before


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "small-fast", "input": 5}',
        b'{"model": "small-fast", "input": [5]}',
        b'{"model": "small-fast", "input": "x", "max_output_tokens": 0}',
        b'{"model": "small-fast", "input": "x", "Background": true}',
        b'{"model": "small-fast", "input": [{"Type": "item_reference", "id": "x"}]}',
        b'{"model": "small-fast", "input": "x", "tools": [{"type": "function", "type": "mcp"}]}',
        b'{"model": "small-fast", "input": "x", "tools": [{"type": 5}]}',
        b'{"model": "small-fast", "input": "x", "tools": [{"type": "../evil"}]}',
        b'{"model": "small-fast", "input": "x", "tools": {"type": "mcp"}}',
        b'{"model": "small-fast", "input": "x\x00"}',
        b'{"model": "small-fast", "input": [' + b'{"content":[' * 5000,
        b'{"model": "small-fast", "input": "x", "tools": '
        b'[{"type": "mcp", "server_label": "a", "server_url": "http://a", "connector_id": "b"}]}',
    ],
)
async def test_bodies_with_two_readings_get_a_clear_error(edge: Edge, body: bytes) -> None:
    token = await edge.open_run()
    async with edge.http.post(
        f"{edge.url}/openai/v1/responses",
        data=body,
        headers={"authorization": f"Bearer {token}", "content-type": "application/json"},
    ) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["code"] == "malformed"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/responses/resp_1"),
        ("DELETE", "/responses/resp_1"),
        ("POST", "/responses/resp_1/cancel"),
        ("GET", "/responses/resp_1/input_items"),
        ("POST", "/batches"),
        ("GET", "/chat/completions"),
    ],
)
async def test_what_is_not_served_says_so(edge: Edge, method: str, path: str) -> None:
    headers = {"authorization": f"Bearer {await edge.open_run()}"}
    async with edge.http.request(method, f"{edge.url}/openai/v1{path}", headers=headers) as answer:
        said = (await answer.json())["error"]
    assert (answer.status, said["code"]) == (404, "not_served")
    assert "plane" in said["message"] or "/responses" in said["message"]


@pytest.mark.parametrize(
    ("said", "count", "taken"),
    [("one two", 1, 2), (["one", "two three"], 2, 3), ([1, 2, 3], 1, 3), ([[1, 2], [3]], 2, 3)],
)
async def test_embeddings_cost_their_input(
    edge: Edge, model_provider: Provider, said: Any, count: int, taken: int
) -> None:
    token = await edge.open_run()
    async with edge.openai(token) as client:
        made = await client.embeddings.create(
            model="small-fast", input=said, encoding_format="float"
        )
    assert len(made.data) == count
    sent = model_provider.requests()[-1]["body"]
    assert sent == {"model": "small-1", "input": said, "encoding_format": "float"}
    (recorded,) = await edge.outcomes()
    assert (recorded["input_tokens"], recorded.get("output_tokens", 0)) == (taken, 0)
    assert recorded["status"] == "succeeded"


@pytest.mark.parametrize("said", [[], [1, "two"], [[1], "two"], {"a": 1}, None, [["a"]]])
async def test_embeddings_of_nothing_are_refused(edge: Edge, said: Any) -> None:
    token = await edge.open_run()
    async with edge.openai(token) as client:
        with pytest.raises(openai.BadRequestError):
            await client.embeddings.create(
                model="small-fast", input="x", extra_body={"input": said}
            )
