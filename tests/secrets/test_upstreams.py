"""Credentials at the boundary: fetched tokens for providers, children that get a new value."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.gateways.ground import open_edge, text_of
from tests.rig.credential_servers import LeakyUpstream, TokenServer
from tests.rig.deadline import eventually_async
from tests.rig.upstream import Upstream
from tests.rig.world import upstream_document, world


async def test_a_provider_that_refuses_a_token_is_asked_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIENT_SECRET", "client-secret-canary")
    with (
        TokenServer("plane", "client-secret-canary") as tokens,
        LeakyUpstream(tokens.takes) as model,
    ):
        provider = json.dumps({"provider": {
            "name": "local", "base_url": f"{model.url}/v1",
            "credential": {"oauth": {"token_url": f"{tokens.url}/token", "client_id": "plane",
                                     "client_secret": "env:CLIENT_SECRET"}},
            "models": [{"name": "small-1", "input_usd_per_million": 0.4,
                        "output_usd_per_million": 1.6, "context_window": 100_000}],
        }})  # fmt: skip
        documents = [
            *(text for text in world() if "provider:" not in text),
            provider,
            "model: {name: small-fast, provider: local, provider_model: small-1}",
        ]
        async with (
            open_edge(tmp_path, *documents) as edge,
            edge.openai(await edge.open_run()) as client,
        ):
            for revoked, fetched in ((False, 1), (True, 2)):
                if revoked:
                    tokens.revoked.update(tokens.issued)
                made = await client.chat.completions.create(
                    model="small-fast", messages=[{"role": "user", "content": "hello"}]
                )
                said = made.choices[0].message.content
                assert said == "your key is Bearer [credential withheld]"
                assert len(tokens.issued) == fetched
            model.accepts = lambda header: False
            with pytest.raises(Exception, match="HTTP 401") as refused:
                await client.chat.completions.create(
                    model="small-fast", messages=[{"role": "user", "content": "hello"}]
                )
            assert "canary" not in str(refused.value)
            outcomes = await edge.events("outcome.recorded")
            assert [one["status"] for one in outcomes] == ["succeeded", "succeeded", "failed"]


async def test_a_child_with_an_old_value_ends_once_its_calls_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Upstream(tmp_path / "books")
    document = upstream_document(command=server.command, credential="env:BOOKS_TOKEN")
    monkeypatch.setenv("BOOKS_TOKEN", "first-value-canary")
    async with open_edge(tmp_path, *world(upstream=document)) as edge:
        await edge.upstream_up()
        token = await edge.open_run()
        async with edge.mcp(token) as client:
            slow = asyncio.create_task(client.call_tool("books.wait", {}))

            async def runs() -> bool:
                return len(server.executions("wait_until_told")) == 1

            await eventually_async(runs, "the slow call runs")
            edge.gateways.pool.look({"env:BOOKS_TOKEN"})
            assert not (await client.call_tool("books.echo", {"text": "same"})).is_error
            assert server.credentials_seen() == ["first-value-canary"]
            monkeypatch.setenv("BOOKS_TOKEN", "second-value-canary")
            edge.gateways.pool.look({"env:BOOKS_TOKEN"})

            async def anew() -> bool:
                return server.credentials_seen() == ["first-value-canary", "second-value-canary"]

            await eventually_async(anew, "a child with the new value")
            assert not (await client.call_tool("books.echo", {"text": "new"})).is_error
            assert not slow.done()
            server.tell(value="told")
            assert text_of(await slow) == "told"
