"""An agent on OpenAI's Agents SDK, with its own five seconds of patience, behind both gateways."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.gateways.ground import open_edge
from tests.rig.deadline import eventually_async
from tests.rig.provider import Provider
from tests.rig.upstream import Upstream
from tests.rig.world import agent_document, upstream_document, world

agents = pytest.importorskip("agents", reason="openai-agents is not installed")


async def test_an_interrupted_run_goes_on_elsewhere_and_refunds_once(
    tmp_path: Path, books: Upstream, model_provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK's own interruption: the run is put away as text, and taken up again later.

    What its user agrees to there is no approval here: the call is held all the same.
    """
    from agents.mcp import MCPServerStreamableHttp

    monkeypatch.setenv("BOOKS_TOKEN", "s3cr3t-canary")
    arguments = {"charge_id": "ch_3", "amount_usd": 445.25}
    model_provider.wish(
        call={"name": "books_create_refund", "arguments": arguments, "until": "re_"}
    )
    documents = world(
        upstream=upstream_document(url=books.url, credential="env:BOOKS_TOKEN"),
        provider_url=model_provider.url,
        agent=agent_document(hold_seconds=0),
    )
    async with open_edge(tmp_path, *documents) as edge:
        await edge.upstream_up()
        token = await edge.open_run()
        agents.set_tracing_disabled(True)

        async def go_on(kept: str | None) -> Any:
            """Take the run up in what might be another process: all it has is the text."""
            headers = {"authorization": f"Bearer {token}"}
            server = MCPServerStreamableHttp(
                params={"url": f"{edge.url}/mcp", "headers": headers}, require_approval="always"
            )
            async with edge.openai(token) as client, server:
                clerk = agents.Agent(
                    name="clerk",
                    mcp_servers=[server],
                    model=agents.OpenAIChatCompletionsModel("small-fast", client),
                )
                if kept is None:
                    return await agents.Runner.run(clerk, "Refund charge ch_3, please.")
                state = await agents.RunState.from_string(clerk, kept)
                for interruption in state.get_interruptions():
                    state.approve(interruption)
                return await agents.Runner.run(clerk, state)

        result = await go_on(None)
        assert result.interruptions
        assert await edge.events("decision.held") == [], "it was not asked for yet"
        result = await go_on(result.to_state().to_string())
        assert result.interruptions, "it was told that a person decides, and asks again"
        assert books.executions("create_refund").count(arguments) == 0
        assert len(await edge.pending()) == 1
        await edge.vote()
        kept = result.to_state().to_string()
        first, second = await asyncio.gather(go_on(kept), go_on(kept))
        assert "re_" in str([item.output for item in outputs_of(first)])
        assert "re_" in str([item.output for item in outputs_of(second)])
        assert books.executions("create_refund").count(arguments) == 1
        assert len(await edge.events("grant.redeemed")) == 1
    model_provider.wish()


def outputs_of(result: Any) -> list[Any]:
    """What its tools gave a run."""
    return [item for item in result.new_items if item.type == "tool_call_output_item"]


async def test_an_agent_that_loses_patience_gets_its_refund_once(
    tmp_path: Path, books: Upstream, model_provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agents.mcp import MCPServerStreamableHttp

    monkeypatch.setenv("BOOKS_TOKEN", "s3cr3t-canary")
    arguments = {"charge_id": "ch_3", "amount_usd": 444.25}
    model_provider.wish(
        call={"name": "books_create_refund", "arguments": arguments, "until": "re_"}
    )
    documents = world(
        upstream=upstream_document(url=books.url, credential="env:BOOKS_TOKEN"),
        provider_url=model_provider.url,
        agent=agent_document(hold_seconds=60),
    )
    async with open_edge(tmp_path, *documents) as edge:
        await edge.upstream_up()
        token = await edge.open_run()
        agents.set_tracing_disabled(True)
        server = MCPServerStreamableHttp(
            params={"url": f"{edge.url}/mcp", "headers": {"authorization": f"Bearer {token}"}}
        )
        async with edge.openai(token) as client, server:
            clerk = agents.Agent(
                name="clerk",
                mcp_servers=[server],
                model=agents.OpenAIChatCompletionsModel("small-fast", client),
            )
            work = asyncio.create_task(agents.Runner.run(clerk, "Refund charge ch_3, please."))

            async def gave_up_and_asked_again() -> bool:
                return len(await edge.events("decision.held")) >= 2

            await eventually_async(gave_up_and_asked_again, "the client asks again", seconds=40)
            assert books.executions("create_refund").count(arguments) == 0
            await edge.vote()
            done = await work
        assert books.executions("create_refund").count(arguments) == 1
        outputs = [i.output for i in done.new_items if i.type == "tool_call_output_item"]
        assert len(outputs) >= 2, "it was told of a failure before it got the result"
        assert "re_" in str(outputs[-1])
        assert len(await edge.events("grant.redeemed")) == 1
    model_provider.wish()


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_agent_on_responses_refunds_once_it_was_approved(
    tmp_path: Path,
    books: Upstream,
    model_provider: Provider,
    monkeypatch: pytest.MonkeyPatch,
    streamed: bool,
) -> None:
    """What the SDK does by default: responses, whole or streamed, with tools of the plane."""
    from agents.mcp import MCPServerStreamableHttp

    monkeypatch.setenv("BOOKS_TOKEN", "s3cr3t-canary")
    arguments = {"charge_id": "ch_3", "amount_usd": 446.25 + streamed}
    model_provider.wish(
        call={"name": "books_create_refund", "arguments": arguments, "until": "re_"}
    )
    documents = world(
        upstream=upstream_document(url=books.url, credential="env:BOOKS_TOKEN"),
        provider_url=model_provider.url,
        agent=agent_document(hold_seconds=60),
    )
    async with open_edge(tmp_path, *documents) as edge:
        await edge.upstream_up()
        token = await edge.open_run()
        agents.set_tracing_disabled(True)
        server = MCPServerStreamableHttp(
            params={"url": f"{edge.url}/mcp", "headers": {"authorization": f"Bearer {token}"}},
            client_session_timeout_seconds=60,
        )
        async with edge.openai(token) as client, server:
            clerk = agents.Agent(
                name="clerk",
                instructions="You refund.",
                mcp_servers=[server],
                model=agents.OpenAIResponsesModel("small-fast", client),
            )

            async def work() -> Any:
                if not streamed:
                    return await agents.Runner.run(clerk, "Refund charge ch_3, please.")
                run = agents.Runner.run_streamed(clerk, "Refund charge ch_3, please.")
                async for _ in run.stream_events():
                    pass
                return run

            done = asyncio.create_task(work())
            await edge.vote()
            result = await done
        assert "re_" in str([item.output for item in outputs_of(result)])
        assert result.final_output
        assert books.executions("create_refund").count(arguments) == 1
        calls = [e for e in await edge.events("outcome.recorded") if e.get("output_tokens")]
        assert calls, "what the model used is metered"
    model_provider.wish()


async def test_an_agent_whose_budget_is_used_up_stops_at_once(
    tmp_path: Path, model_provider: Provider
) -> None:
    import openai

    model_provider.wish()
    documents = world(
        provider_url=model_provider.url,
        agent=agent_document(budgets={"max_cost_usd_per_run": 0.0001}),
    )
    async with open_edge(tmp_path, *documents) as edge:
        agents.set_tracing_disabled(True)
        before = len(model_provider.requests())
        async with edge.openai(await edge.open_run(), retries=3) as client:
            clerk = agents.Agent(
                name="clerk", model=agents.OpenAIResponsesModel("small-fast", client)
            )
            with pytest.raises(openai.APIStatusError) as refused:
                await agents.Runner.run(clerk, "Hello.")
            run = agents.Runner.run_streamed(clerk, "Hello.")
            with pytest.raises(openai.APIStatusError):
                async for _ in run.stream_events():
                    pass
        assert refused.value.status_code == 402
        assert "budget" in refused.value.message
        assert len(await edge.events("decision.denied")) == 2, "nothing was tried again"
        assert len(model_provider.requests()) == before
