"""Trace context: taken from who calls, passed on to whoever performs the call."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.gateways.bare import completion
from tests.gateways.crooked import crooked, respond
from tests.gateways.ground import open_edge
from tests.gateways.serving import serving
from tests.rig.world import agent_document, upstream_document, world
from tests.traces.entries import CALLER
from watchkeeper.core.tracing import TraceContext, span_of, trace_of

OTHER = "00-" + "a" * 32 + "-" + "b" * 16 + "-00"
GIVEN = TraceContext(*CALLER.split("-")[1:3])


def message(**meta: str) -> dict[str, Any]:
    params = {"name": "books.echo", "arguments": {"text": "hi"}, "_meta": meta}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


@pytest.mark.parametrize(
    ("header", "meta", "trace"),
    [
        (None, {"traceparent": CALLER}, GIVEN.trace),
        (CALLER, {}, GIVEN.trace),
        (OTHER, {"traceparent": CALLER}, GIVEN.trace),
        (CALLER, {"traceparent": "nonsense"}, GIVEN.trace),
        (None, {}, None),
        ("nonsense", {}, None),
    ],
)
async def test_a_tool_call_is_in_its_callers_trace_and_its_upstream_in_the_calls(
    tmp_path: Path, header: str | None, meta: dict[str, str], trace: str | None
) -> None:
    async with crooked() as server:
        documents = world(upstream=upstream_document(url=server.url), agent=agent_document())
        async with open_edge(tmp_path, *documents) as edge:
            await edge.upstream_up()
            headers = {"authorization": f"Bearer {await edge.open_run()}"}
            if header is not None:
                headers["traceparent"] = header
            async with edge.http.post(
                f"{edge.url}/mcp", json=message(**meta), headers=headers
            ) as said:
                assert (await said.json())["result"]["isError"] is False
            (decided,) = await edge.events("decision.permitted")
            opened = await edge.store.subscribe(0).__anext__()
            run = next(event.run for event in opened if event.type == "run.opened")
    assert run is not None
    assert decided.get("traceparent") == (GIVEN.text() if trace else None)
    (called,) = [one["params"] for one in server.heard if one["method"] == "tools/call"]
    expected = TraceContext(trace or trace_of(run), span_of(decided["decision"])).text()
    assert called["_meta"]["traceparent"] == expected
    assert called["arguments"] == {"text": "hi"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/chat/completions", {"messages": [{"role": "user", "content": "hi"}]}),
        ("/responses", {"input": "hi"}),
        ("/embeddings", {"input": "hi"}),
    ],
)
async def test_a_model_call_is_in_its_callers_trace_and_its_provider_in_the_calls(
    tmp_path: Path, path: str, body: dict[str, Any]
) -> None:
    heard: list[str | None] = []

    async def provider(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        headers = dict(scope["headers"])
        heard.append(headers.get(b"traceparent", b"").decode())
        await respond(send, 200, json.dumps(completion()).encode())

    async with (
        serving(provider) as url,
        open_edge(tmp_path, *world(provider_url=f"{url}/v1")) as edge,
    ):
        token = await edge.open_run()
        for more in ({"traceparent": CALLER}, {}):
            async with edge.http.post(
                f"{edge.url}/openai/v1{path}",
                json={"model": "small-fast", **body},
                headers={"authorization": f"Bearer {token}", **more},
            ) as said:
                assert said.status == 200
        first, second = await edge.events("decision.permitted")
    assert first["traceparent"] == GIVEN.text()
    assert "traceparent" not in second
    assert heard[0] == TraceContext(GIVEN.trace, span_of(first["decision"])).text()
    assert heard[1] is not None
    assert heard[1].split("-")[2] == span_of(second["decision"])
