"""Upstreams that are old, down, slow or hostile: a clear error, and never a wrong outcome."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.gateways.crooked import crooked
from tests.gateways.ground import Edge, open_edge, text_of
from tests.rig.deadline import eventually_async
from tests.rig.upstream import Upstream
from tests.rig.world import agent_document, upstream_document, world
from watchkeeper.tools.upstreams.egress import Egress
from watchkeeper.tools.upstreams.model import UpstreamFailure

SLOW_TOOL = """
tool: {name: books.slow, upstream: books, upstream_tool: echo, does: Slow., access: read, risk: low,
       timeout_seconds: 1}
"""


def documents(url: str = "", **upstream: Any) -> list[str]:
    """The rig's world over one upstream, with a tool that waits a second at most."""
    return world(
        SLOW_TOOL,
        upstream=upstream_document(url=url, **upstream),
        agent=agent_document(tools=["echo", "slow", "lookup_charge"]),
    )


async def call(edge: Edge, tool: str = "books.echo", **arguments: Any) -> Any:
    """Call a tool with the official client."""
    async with edge.mcp(await edge.open_run()) as client:
        return await client.call_tool(tool, arguments)


async def status_of(edge: Edge) -> str:
    """Return the status of the newest outcome."""
    return str((await edge.events("outcome.recorded"))[-1]["status"])


@pytest.mark.parametrize(
    ("mode", "words", "status"),
    [
        ("http-500", "HTTP 500", "unknown"),
        ("redirect", "HTTP 307", "failed"),
        ("garbage", "no JSON-RPC message", "unknown"),
        ("huge", "too large", "unknown"),
        ("refuse", "account", "failed"),
        ("asks-back", "more input", "unknown"),
        ("other-id", "another request", "unknown"),
        ("stream-cut", "ended without an answer", "unknown"),
    ],
)
async def test_a_crooked_answer_is_a_clear_error(
    tmp_path: Path, mode: str, words: str, status: str
) -> None:
    async with crooked(mode) as server, open_edge(tmp_path, *documents(server.url)) as edge:
        result = await call(edge, text="x")
        assert result.is_error
        assert words in text_of(result)
        assert "\x1b" not in text_of(result)
        assert result.structured_content["status"] == status
        assert await status_of(edge) == status
        assert server.calls == 1


async def test_a_server_that_never_answers_times_out_as_unknown(tmp_path: Path) -> None:
    async with crooked("silent") as server, open_edge(tmp_path, *documents(server.url)) as edge:
        result = await call(edge, "books.slow")
        assert "did not answer in 1 s" in text_of(result)
        assert await status_of(edge) == "unknown"


async def test_a_streamed_answer_and_its_progress_reach_the_caller(tmp_path: Path) -> None:
    heard: list[Any] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    async with crooked("stream") as server, open_edge(tmp_path, *documents(server.url)) as edge:
        async with edge.mcp(await edge.open_run()) as client:
            result = await client.call_tool(
                "books.echo", {"text": "späße\n\n"}, progress_callback=note
            )
        assert text_of(result) == "späße\n\n"
    assert heard == [(1, 2, "half")]


async def test_a_server_of_the_handshake_era_keeps_its_session(tmp_path: Path) -> None:
    async with (
        crooked(sessions=True) as server,
        open_edge(tmp_path, *documents(server.url)) as edge,
    ):
        await edge.upstream_up()
        assert text_of(await call(edge, text="one")) == "one"
        server.session += 1  # it forgets
        results = await asyncio.gather(*(call(edge, text=str(n)) for n in range(5)))
        assert [text_of(result) for result in results] == ["0", "1", "2", "3", "4"]
        assert server.opened == 2
        assert server.calls == 6
        last = next(h for h in reversed(server.headers) if "mcp-session-id" in h)
        assert last["mcp-protocol-version"] == "2025-06-18"
        assert "mcp-method" not in last


async def test_arguments_that_an_upstream_wants_in_headers_are_mirrored(tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "deep": {"type": "object", "properties": {
                "dry": {"type": "boolean", "x-mcp-header": "Dry"}}},
        },
    }  # fmt: skip
    tool = {"name": "echo", "inputSchema": schema}
    async with crooked(tool=tool) as server, open_edge(tmp_path, *documents(server.url)) as edge:
        await edge.upstream_up()
        async with edge.mcp(await edge.open_run()) as client:
            (echo,) = [t for t in (await client.list_tools()).tools if t.name == "books_echo"]
            assert "x-mcp-header" not in str(echo.input_schema)
            result = await client.call_tool("books.echo", {"region": "eu ü", "deep": {"dry": True}})
        assert not result.is_error
        sent = server.headers[-1]
        assert sent["mcp-param-region"] == "=?base64?ZXUgw7w=?="
        assert sent["mcp-param-dry"] == "true"
        assert sent["mcp-name"] == "echo"


async def test_an_upstream_that_is_down_fails_the_call_and_comes_back(
    tmp_path: Path,
) -> None:
    server = Upstream(tmp_path / "books").start()
    try:
        async with open_edge(tmp_path, *documents(server.url)) as edge:
            await edge.upstream_up()
            server.stop()
            result = await call(edge, text="x")
            assert result.is_error
            assert "did not take effect" in text_of(result)
            assert await status_of(edge) == "failed"
            await edge.upstream_up(state="down")
            server.start()
            await edge.upstream_up()
            assert text_of(await call(edge, text="back")) == "back"
            assert [state for _, state, _ in edge.states] == ["up", "down", "up"]
    finally:
        server.stop()


async def test_a_server_over_stdio_is_started_restarted_and_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOOKS_TOKEN", "s3cr3t-canary")
    server = Upstream(tmp_path / "books")
    stdio = documents(command=server.command, credential="env:BOOKS_TOKEN")
    async with open_edge(tmp_path, *stdio) as edge:
        await edge.upstream_up()
        assert text_of(await call(edge, text="hé\n")) == "hé\n"
        assert server.credentials_seen() == ["s3cr3t-canary"]
        result = await call(edge, "books.lookup_charge", charge_id="ch_9")
        assert result.is_error
        first = children(server)
        os.kill(first[0], 9)
        await edge.upstream_up(state="down")
        await edge.upstream_up()
        assert text_of(await call(edge, text="again")) == "again"
        second = children(server)
        assert first != second

    async def ended() -> bool:
        return children(server) == []

    await eventually_async(ended, "the child process ends with the plane")


async def test_a_child_that_dies_under_a_call_leaves_it_unknown(tmp_path: Path) -> None:
    server = Upstream(tmp_path / "books")
    stdio = world(upstream=upstream_document(command=server.command))
    async with open_edge(tmp_path, *stdio) as edge:
        await edge.upstream_up()
        running = asyncio.create_task(call(edge, "books.wait", label="never"))

        async def begun() -> bool:
            return len(server.executions("wait_until_told")) == 1

        await eventually_async(begun, "the call runs")
        os.kill(children(server)[0], 9)
        result = await running
        assert result.structured_content["status"] == "unknown"
        assert await status_of(edge) == "unknown"


@pytest.mark.parametrize(
    ("reference", "words"),
    [("env:NO_SUCH_VARIABLE", "NO_SUCH_VARIABLE"), ("file:/no/such/file", "/no/such/file")],
)
async def test_a_missing_credential_is_named_and_nothing_is_sent(
    tmp_path: Path, reference: str, words: str
) -> None:
    async with (
        crooked() as server,
        open_edge(tmp_path, *documents(server.url, credential=reference)) as edge,
    ):
        await edge.upstream_up(state="down")
        assert words in text_of(await call(edge, text="x"))
        assert server.heard == []


async def test_a_credential_in_a_file_is_read_at_each_use(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("first\n")
    async with (
        crooked() as server,
        open_edge(tmp_path, *documents(server.url, credential=f"file:{secret}")) as edge,
    ):
        await call(edge, text="x")
        assert server.headers[-1]["authorization"] == "Bearer first"
        secret.write_text("second\n")
        await call(edge, text="x")
        assert server.headers[-1]["authorization"] == "Bearer second"


async def test_a_program_that_is_no_server_is_reported_down(tmp_path: Path) -> None:
    for command, words in ((["/no/such/program"], "did not start"), (["true"], "process")):
        directory = tmp_path / Path(command[0]).name
        directory.mkdir()
        async with open_edge(directory, *documents(command=command)) as edge:
            await edge.upstream_up(state="down")
            row = edge.gateways.upstream_rows()[0]
            assert words in row.detail


FALLS = """
import json, sys, time
with open(sys.argv[1], "a") as starts:
    starts.write(f"{time.monotonic()}\\n")
for answer in ({"protocolVersion": "2025-06-18", "capabilities": {}}, None, {"tools": []}):
    message = json.loads(sys.stdin.readline())
    if answer is not None:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": answer}), flush=True)
"""


async def test_a_child_that_falls_as_soon_as_it_stands_is_started_ever_later(
    tmp_path: Path,
) -> None:
    notes = tmp_path / "starts"
    command = [sys.executable, "-c", FALLS, str(notes)]
    async with open_edge(tmp_path, *documents(command=command)) as edge:

        async def fifth() -> list[float] | None:
            starts = [float(line) for line in notes.read_text().split()] if notes.exists() else []
            return starts if len(starts) >= 5 else None

        starts = await eventually_async(fifth, "it was started five times")
        assert {state for _, state, _ in edge.states} == {"up", "down"}
    # at least: a busy machine only makes it later
    assert starts[4] - starts[0] > 0.25 + 0.5 + 1 + 2


async def test_upstreams_follow_what_is_applied(tmp_path: Path) -> None:
    async with crooked() as old, crooked() as new, open_edge(tmp_path, *documents(old.url)) as edge:
        await call(edge, text="x")
        await edge.apply(upstream_document(url=new.url))
        await call(edge, text="x")
        assert (old.calls, new.calls) == (1, 1)


def children(server: Upstream) -> list[int]:
    """Return the processes that serve this upstream over stdio."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(server.database).encode() in line and b"--stdio" in line:
                found.append(int(entry.name))
    return found


async def test_a_server_that_drops_the_end_of_a_session_is_an_upstream_failure() -> None:
    async def drop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(drop, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    egress = Egress()
    try:
        with pytest.raises(UpstreamFailure, match="closed the connection"):
            await egress.delete(f"http://127.0.0.1:{port}/", {})
    finally:
        await egress.close()
        server.close()
