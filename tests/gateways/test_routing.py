"""Model calls that are led: escalated, tried out, made cheaper; told and recorded."""

from __future__ import annotations

from pathlib import Path

import openai
import pytest

from tests.gateways.ground import open_edge
from tests.gateways.routing_ground import (
    ask,
    documents,
    models_sent,
    no_wait,
    route,
)
from tests.rig.provider import Provider
from tests.rig.upstream import Upstream
from watchkeeper.kill.model import LockTarget, NewLock


async def test_a_default_model_escalates_once_tools_fail_and_large_amounts_are_asked(
    tmp_path: Path, model_provider: Provider, books: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Header, event and record say why; another run begins with the small model again."""
    model_provider.wish()
    monkeypatch.setenv("BOOKS_TOKEN", "s3cr3t-canary")
    async with open_edge(tmp_path, *documents(model_provider, books)) as edge:
        await edge.upstream_up()
        token = await edge.open_run()
        assert route(await ask(edge, token)) == ("small-fast", "called by its name")
        async with edge.mcp(token) as client:
            await client.call_tool("books.lookup_charge", {"charge_id": "ch_1"})
            await client.call_tool("books.fail", {})
        why = "escalated to large-careful: 1 of 2 tool calls failed (50 % > 5 %)"
        said = await ask(edge, token)
        assert route(said) == ("large-careful", why)
        assert model_provider.requests()[-1]["body"]["model"] == "large-1"
        permitted = (await edge.events("decision.permitted"))[-1]
        assert (permitted["name"], permitted["routed"]["cause"]) == ("small-fast", "contract")
        assert permitted["routed"]["reason"] == why
        done = (await edge.events("outcome.recorded"))[-1]
        assert done["cost_micros"] == 4 * done["input_tokens"] + 16 * done["output_tokens"]
        other = await edge.open_run()
        assert route(await ask(edge, other))[0] == "small-fast"
        async with edge.mcp(other) as client:
            refund = {"charge_id": "ch_1", "amount_usd": 250}
            await client.call_tool("books.create_refund", refund)
        assert route(await ask(edge, other)) == (
            "large-careful",
            "escalated to large-careful: the run asked to move $250.00 (>= $200.00)",
        )
        assert route(await ask(edge, other, "watched")) == (
            "large-careful",
            "large-careful answers runs that asked for a tool of high risk",
        )


async def test_a_policy_or_a_lock_on_the_stronger_model_refuses(
    tmp_path: Path, model_provider: Provider, books: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_provider.wish()
    monkeypatch.setenv("BOOKS_TOKEN", "s3cr3t-canary")
    policy = (
        '@id("eu-only") @message("Not that one.") forbid (principal, action == '
        'Action::"call_model", resource == Model::"large-careful");'
    )
    found = documents(model_provider, books)
    async with open_edge(tmp_path, *found, policy=policy) as edge:
        await edge.upstream_up()
        token = await edge.open_run()
        async with edge.mcp(token) as client:
            await client.call_tool("books.fail", {})
        before = len(model_provider.requests())
        with pytest.raises(openai.PermissionDeniedError) as refused:
            await ask(edge, token)
        assert "DENIED by rule policy/eu-only: escalated to large-careful: 1 of 1" in str(
            refused.value
        )
        lock = LockTarget("model", "large-careful")
        taken, _ = await edge.kill.lock(NewLock(lock, mode="stop", reason="odd", by="person/owner"))
        with pytest.raises(openai.PermissionDeniedError, match=f"lock/{taken.lock}"):
            await ask(edge, token)
        assert len(model_provider.requests()) == before


async def test_the_cheapest_target_answers_and_others_where_it_is_down(
    tmp_path: Path, model_provider: Provider
) -> None:
    model_provider.wish(of={"cheap-1": {"status": 501}})
    async with open_edge(tmp_path, *documents(model_provider)) as edge:
        edge.gateways.providers.wait = no_wait
        token = await edge.open_run()
        since = len(model_provider.requests())
        model, why = route(await ask(edge, token, "least"))
        assert model == "least"
        assert "careful/cheap-1 is the cheapest of 3: at most $" in why
        sent = models_sent(model_provider, since)
        assert (sent[0], sent[-1]) == ("cheap-1", "small-1")
        model_provider.wish()
        since = len(model_provider.requests())
        why = route(await ask(edge, token, "least"))[1]
        assert "local/small-1 is the cheapest of 3" in why
        assert "not well now: careful/cheap-1, careful/large-1" in why
        assert models_sent(model_provider, since) == ["small-1"]


async def test_a_version_that_is_tried_goes_to_the_canary(
    tmp_path: Path, model_provider: Provider
) -> None:
    model_provider.wish()
    async with open_edge(tmp_path, *documents(model_provider)) as edge:
        token = await edge.open_run()
        assert route(await ask(edge, token, "tried")) == (
            "large-careful",
            "canary large-careful answers all runs of clerk@1",
        )
        target = LockTarget("model", "large-careful")
        await edge.kill.lock(NewLock(target, mode="pause", reason="odd", by="person/owner"))
        model, why = route(await ask(edge, token, "tried"))
        assert model == "tried"
        assert "canary large-careful is left out (lock/" in why


async def test_what_may_be_generated_is_lowered_by_the_contract(
    tmp_path: Path, model_provider: Provider
) -> None:
    model_provider.wish()
    found = documents(model_provider)
    found[0] = found[0].replace('"max_steps"', '"max_output_tokens_per_call": 3, "max_steps"')
    async with open_edge(tmp_path, *found) as edge:
        token = await edge.open_run()
        said = await ask(edge, token, max_tokens=40)
        assert said.headers["x-watchkeeper-lowered"] == (
            "3 output tokens by contract/clerk/max_output_tokens_per_call"
        )
        assert model_provider.requests()[-1]["body"]["max_tokens"] == 3
        (permitted,) = await edge.events("decision.permitted")
        (duty,) = permitted["obligations"]
        assert duty["policy"] == "contract/clerk/max_output_tokens_per_call"
