"""The wire of the MCP edge, byte by byte: what is malformed, contradictory or not for us."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.gateways.crooked import Crooked, crooked
from tests.gateways.ground import Edge, open_edge
from tests.rig.deadline import eventually_async
from tests.rig.world import agent_document, upstream_document, world

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
ECHO = "upstream_tool: echo"
MODERN = {"mcp-protocol-version": "2026-07-28"}


@pytest.fixture
async def server() -> AsyncIterator[Crooked]:
    async with crooked() as running:
        yield running


@pytest.fixture
async def edge(tmp_path: Path, server: Crooked) -> AsyncIterator[Edge]:
    documents = world(
        upstream=upstream_document(url=server.url),
        agent=agent_document(tools=["echo", "create_refund"], hold_seconds=30),
    )
    # the server has one tool, which stands for every other
    documents = [one.replace("upstream_tool: create_refund", ECHO) for one in documents]
    async with open_edge(tmp_path, *documents) as opened:
        await opened.upstream_up()
        yield opened


@pytest.fixture
async def token(edge: Edge) -> str:
    return await edge.open_run()


async def post(
    edge: Edge, token: str, body: Any, headers: dict[str, str] | None = None, method: str = "POST"
) -> tuple[int, Any, Any]:
    """Send one request; return status, JSON body (or text) and headers."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    sent |= {"accept": "application/json, text/event-stream", **(headers or {})}
    async with edge.http.request(
        method, f"{edge.url}/mcp", data=io.BytesIO(data), headers=sent
    ) as answer:
        text = await answer.text()
        try:
            return answer.status, json.loads(text), answer.headers
        except ValueError:
            return answer.status, text, answer.headers


def modern(method: str, id: Any = 1, **params: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a well-formed modern request and its headers."""
    headers = {**MODERN, "mcp-method": method}
    if "name" in params:
        headers["mcp-name"] = params["name"]
    body = {"jsonrpc": "2.0", "id": id, "method": method, "params": {**params, "_meta": META}}
    return body, headers


def code(body: Any) -> int:
    return int(body["error"]["code"])


async def test_a_result_passes_as_the_bytes_it_was(edge: Edge, token: str) -> None:
    body, headers = modern("tools/call", name="books.echo", arguments={"text": "1.10 ü"}, id="a-1")
    status, answer, _ = await post(edge, token, body, headers)
    assert status == 200
    assert answer["id"] == "a-1"
    assert answer["result"]["content"] == [{"type": "text", "text": "1.10 ü"}]
    assert answer["result"]["resultType"] == "complete"
    legacy = {"jsonrpc": "2.0", "id": 2, "method": "tools/call"}
    legacy["params"] = {"name": "books.echo", "arguments": {"text": "x"}}
    status, answer, _ = await post(edge, token, legacy)
    assert status == 200
    assert "resultType" not in answer["result"]


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({"mcp-method": "tools/list"}, "Mcp-Method"),
        ({"mcp-name": "books.create_refund"}, "Mcp-Name"),
        ({"mcp-name": ""}, "Mcp-Name"),
        ({"mcp-name": "=?base64?!!?="}, "Mcp-Name"),
        ({"mcp-protocol-version": "2025-11-25"}, "MCP-Protocol-Version"),
        ({"mcp-protocol-version": "2031-01-01"}, "MCP-Protocol-Version"),
    ],
)
async def test_headers_that_contradict_the_body_are_refused(
    edge: Edge, token: str, server: Crooked, changed: dict[str, str], wrong: str
) -> None:
    body, headers = modern("tools/call", name="books.echo", arguments={})
    status, answer, _ = await post(edge, token, body, {**headers, **changed})
    assert (status, code(answer)) == (400, -32020)
    assert wrong in answer["error"]["message"]
    assert server.calls == 0
    assert await edge.events("decision.permitted") == []


async def test_a_routing_header_sent_twice_is_refused(edge: Edge, token: str) -> None:
    body, headers = modern("tools/call", name="books.echo", arguments={})
    lines = [("Authorization", f"Bearer {token}"), ("Content-Type", "application/json")]
    lines += [*headers.items(), ("Mcp-Name", "books.create_refund")]
    reader, writer = await asyncio.open_connection("127.0.0.1", int(edge.url.rpartition(":")[2]))
    data = json.dumps(body).encode()
    head = "".join(f"{k}: {v}\r\n" for k, v in [*lines, ("Content-Length", str(len(data)))])
    writer.write(
        f"POST /mcp HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}\r\n".encode() + data
    )
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"-32020" in answer


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        (b"{", 400, -32700),
        (b"\xff", 400, -32700),
        (b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', 400, -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":' + b"[" * 5000, 400, -32700),
        ([{"jsonrpc": "2.0", "id": 1, "method": "ping"}], 400, -32600),
        ({"id": 1, "method": "ping"}, 400, -32600),
        ({"jsonrpc": "2.0", "id": 1.5, "method": "ping"}, 400, -32600),
        ({"jsonrpc": "2.0", "id": None, "method": "ping"}, 400, -32600),
        ({"jsonrpc": "2.0", "id": True, "method": "ping"}, 400, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": 7}, 400, -32600),
        ({"jsonrpc": "2.0", "id": 1, "result": {}}, 400, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []}, 200, -32602),
        ({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {}}, 200, -32602),
        (
            {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
             "params": {"name": "books.echo", "arguments": [1]}},
            200, -32602,
        ),
        (
            {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"cursor": "x"}},
            200, -32602,
        ),
        ({"jsonrpc": "2.0", "id": 1, "method": "resources/list"}, 200, -32601),
        ({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}}, 200, -32602),
    ],
)  # fmt: skip
async def test_malformed_messages_get_their_code(
    edge: Edge, token: str, body: Any, status: int, expected: int
) -> None:
    got, answer, _ = await post(edge, token, body)
    assert (got, code(answer)) == (status, expected)


async def test_the_modern_era_answers_errors_with_their_status(edge: Edge, token: str) -> None:
    for method in ("resources/list", "ping", "initialize"):
        body, headers = modern(method)
        status, answer, _ = await post(edge, token, body, headers)
        assert (status, code(answer)) == (404, -32601), method
    body, headers = modern("tools/list")
    body["params"] = {}
    assert (await post(edge, token, body, headers))[0] == 400
    body, headers = modern("tools/list")
    body["params"]["_meta"] = {**META, "io.modelcontextprotocol/protocolVersion": "2031-01-01"}
    status, answer, _ = await post(
        edge, token, body, {**headers, "mcp-protocol-version": "2031-01-01"}
    )
    assert (status, code(answer)) == (400, -32022)
    assert answer["error"]["data"]["requested"] == "2031-01-01"
    assert "2026-07-28" in answer["error"]["data"]["supported"]


async def test_discover_and_initialize_describe_the_gateway(edge: Edge, token: str) -> None:
    body, headers = modern("server/discover")
    _, answer, _ = await post(edge, token, body, headers)
    result = answer["result"]
    assert result["supportedVersions"] == ["2026-07-28"]
    assert result["capabilities"] == {
        "tools": {"listChanged": True},
        "extensions": {"io.modelcontextprotocol/tasks": {}},
    }
    assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "watchkeeper"
    for wanted, agreed in (("2025-03-26", "2025-03-26"), ("1999-01-01", "2025-11-25")):
        body = {"jsonrpc": "2.0", "id": 1, "method": "initialize"}
        body["params"] = {"protocolVersion": wanted, "capabilities": {}, "clientInfo": {}}
        _, answer, seen = await post(edge, token, body)
        assert answer["result"]["protocolVersion"] == agreed
        assert "mcp-session-id" not in seen
    for note in ("notifications/initialized", "notifications/cancelled"):
        status, answer, _ = await post(edge, token, {"jsonrpc": "2.0", "method": note})
        assert (status, answer) == (202, "")


async def test_other_verbs_and_kinds_are_refused(edge: Edge, token: str) -> None:
    for verb in ("GET", "DELETE", "PUT"):
        status, _, headers = await post(edge, token, b"", method=verb)
        assert status == 405
        assert headers["allow"] == "POST"
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    for headers, status in (
        ({"content-type": "text/plain"}, 415),
        ({"content-encoding": "gzip"}, 415),
        ({"accept": "text/html"}, 406),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "http://localhost:3000"}, 200),
        ({"accept": "application/json"}, 200),
    ):
        assert (await post(edge, token, ping, headers))[0] == status, headers


async def test_a_body_beyond_the_limit_is_413(edge: Edge, token: str) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"x": "y" * (1024 * 1024)}}
    assert (await post(edge, token, body))[0] == 413


@pytest.mark.parametrize("authorization", ["", "Basic abc", "Bearer ", "Bearer wkr_nobody"])
async def test_a_wrong_token_is_401_with_a_challenge(edge: Edge, authorization: str) -> None:
    body, headers = modern("tools/list")
    status, answer, seen = await post(edge, "", body, {**headers, "authorization": authorization})
    assert status == 401
    assert code(answer) == -32010
    said = 'Bearer realm="watchkeeper"' + (', error="invalid_token"' if authorization else "")
    where = f"{edge.url}/.well-known/oauth-protected-resource/mcp"
    assert seen["www-authenticate"] == f'{said}, resource_metadata="{where}"'


@pytest.mark.parametrize("query", ["access_token", "token", "x=1&access_token"])
async def test_a_token_in_the_address_is_refused(edge: Edge, token: str, query: str) -> None:
    body, headers = modern("tools/list")
    sent = {**headers, "authorization": f"Bearer {token}", "accept": "application/json"}
    url = f"{edge.url}/mcp?{query}={token}"
    async with edge.http.post(url, json=body, headers=sent) as answer:
        assert answer.status == 400
        assert token not in await answer.text()


async def test_a_token_that_is_not_for_the_tool_is_403_with_a_challenge(
    edge: Edge, token: str, server: Crooked
) -> None:
    from sqlalchemy import text

    from watchkeeper.store.transaction import Transaction

    def narrow(tx: Transaction) -> None:
        tx.silent("the test narrows the token")
        scope = '[{"scopes":["tool:books.create_refund"],"details":[]}]'
        tx.connection.execute(text("update run_tokens set scope = :scope"), {"scope": scope})

    await edge.store.write(narrow)
    body, headers = modern("tools/call", name="books.echo", arguments={"text": "x"})
    status, answer, seen = await post(edge, token, body, headers)
    assert status == 403, answer
    assert answer["error"]["code"] == -32011
    assert answer["error"]["data"]["rule"] == "identity/scope"
    assert 'error="insufficient_scope", scope="tool:books.echo"' in seen["www-authenticate"]
    assert "/.well-known/oauth-protected-resource/mcp" in seen["www-authenticate"]
    assert server.calls == 0


async def test_a_name_that_no_tool_can_have_is_refused_in_words(edge: Edge, token: str) -> None:
    body, headers = modern("tools/call", name="Books Echo", arguments={})
    status, answer, _ = await post(edge, token, body, headers)
    assert status == 200
    assert answer["result"]["isError"] is True
    assert "gateway/tool-name" in answer["result"]["content"][0]["text"]


async def test_the_same_key_runs_once(edge: Edge, token: str, server: Crooked) -> None:
    body, headers = modern("tools/call", name="books.echo", arguments={"text": "x"})
    body["params"]["_meta"] = {**META, "watchkeeper/idempotency-key": "k-1"}
    _, first, _ = await post(edge, token, body, headers)
    _, second, _ = await post(edge, token, body, headers)
    assert first["result"]["content"][0]["text"] == "x"
    assert second["result"] == first["result"]
    body["params"]["arguments"] = {"text": "y"}
    _, third, _ = await post(edge, token, body, headers)
    assert third["result"]["isError"] is True
    assert "another call" in third["result"]["content"][0]["text"]
    assert server.calls == 1


async def test_a_hold_streams_progress_to_who_asked_for_it(edge: Edge, token: str) -> None:
    arguments = {"charge_id": "ch_2", "amount_usd": 300}
    body, headers = modern("tools/call", name="books.create_refund", arguments=arguments)
    body["params"]["_meta"] = {**META, "progressToken": "p-1"}
    sent = {**headers, "authorization": f"Bearer {token}", "content-type": "application/json"}
    sent["accept"] = "application/json, text/event-stream"
    async with edge.http.post(f"{edge.url}/mcp", json=body, headers=sent) as answer:
        assert answer.content_type == "text/event-stream"
        first = await answer.content.readuntil(b"\r\n\r\n")
        await edge.vote("reject", "no")
        rest = await answer.read()
    note = json.loads(first.split(b"data: ")[1])
    assert note["method"] == "notifications/progress"
    assert note["params"]["progressToken"] == "p-1"
    final = json.loads(rest.split(b"data: ")[1])
    assert final["result"]["structuredContent"]["status"] == "denied"


async def test_stopping_answers_who_waits_and_cuts_who_runs(
    edge: Edge, token: str, server: Crooked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watchkeeper.gateways.performing.STOP_SECONDS", 0.05)
    server.mode = "silent"
    body, headers = modern("tools/call", name="books.echo", arguments={})
    running = asyncio.create_task(post(edge, token, body, headers))

    async def runs() -> bool:
        return server.calls == 1

    await eventually_async(runs, "the call runs")
    body, headers = modern(
        "tools/call", name="books.create_refund", arguments={"charge_id": "ch_2", "amount_usd": 300}
    )
    held = asyncio.create_task(post(edge, token, body, headers))
    await edge.pending()
    edge.decider.waiting.close()
    _, answer, _ = await held
    assert answer["result"]["structuredContent"]["status"] == "pending"
    await edge.gateways.stop()
    _, answer, _ = await running
    assert answer["result"]["structuredContent"]["status"] == "unknown"
    (outcome,) = await edge.events("outcome.recorded")
    assert outcome["status"] == "unknown"


async def test_one_agent_does_not_take_the_places_of_all_listeners(edge: Edge, token: str) -> None:
    body, headers = modern("subscriptions/listen", notifications={"toolsListChanged": True})
    headers |= {"authorization": f"Bearer {token}", "accept": "application/json, text/event-stream"}
    async with AsyncExitStack() as streams:
        for _ in range(64):
            answer = await streams.enter_async_context(
                edge.http.post(f"{edge.url}/mcp", json=body, headers=headers)
            )
            assert b"acknowledged" in await answer.content.readuntil(b"\r\n\r\n")
        _, refused, _ = await post(edge, token, body, headers)
        assert "too many listeners" in refused["error"]["message"]

    async def heard_again() -> bool:
        async with edge.http.post(f"{edge.url}/mcp", json=body, headers=headers) as answer:
            return b"acknowledged" in await answer.content.readuntil(b"}")

    await eventually_async(heard_again, "places are free again")
