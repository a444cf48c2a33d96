"""Kept answers through the gateway: given to whoever may share them, and only after a permit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.gateways.ground import Edge, open_edge
from tests.rig.provider import Provider
from tests.rig.world import agent_document, world
from watchkeeper.identity.scope import Layer, TokenScope

TTL = 60
ASK: dict[str, Any] = {
    "model": "small-fast",
    "max_tokens": 5,
    "messages": [{"role": "user", "content": "one two three"}],
}
PATHS = {"openai": "/openai/v1/chat/completions", "anthropic": "/anthropic/v1/messages"}


def models(provider: Provider, protocol: str = "openai", **members: Any) -> str:
    """Return a logical model whose answers are kept, unless told otherwise."""
    base_url = provider.url if protocol == "openai" else provider.url.removesuffix("/v1")
    priced = {"input_usd_per_million": 3, "output_usd_per_million": 15}
    offered = {"name": "small-1", **priced, "context_window": 100_000}
    local: dict[str, Any] = {"name": "local", "protocol": protocol, "base_url": base_url}
    local |= {"models": [offered], "terms": {"retention": "zero"}}
    model = {"name": "small-fast", "provider": "local", "provider_model": "small-1"}
    kept = {"scope": "agent", "ttl_seconds": TTL}
    return yaml.safe_dump_all([{"provider": local}, {"model": {**model, "cache": kept, **members}}])


def contract(name: str = "clerk", **members: Any) -> str:
    """Return an agent contract with other members."""
    document = yaml.safe_load(agent_document(name))
    document["agent"] |= members
    return yaml.safe_dump(document)


@asynccontextmanager
async def opened(
    directory: Path, provider: Provider, *more: str, protocol: str = "openai", **members: Any
) -> AsyncIterator[Edge]:
    """Serve a world whose model keeps answers."""
    provider.wish()
    ready = [one for one in world(*more) if "\nprovider:" not in one]
    async with open_edge(directory, *ready, models(provider, protocol, **members)) as edge:
        yield edge
    provider.wish()


@pytest.fixture
async def edge(tmp_path: Path, model_provider: Provider) -> AsyncIterator[Edge]:
    """One agent, whose answers are kept."""
    async with opened(tmp_path, model_provider) as one:
        yield one


async def ask(
    edge: Edge, token: str, headers: dict[str, str] | None = None, **members: Any
) -> tuple[int, str | None, bytes]:
    """Send a call; return its status, what became of the cache, and its answer."""
    async with edge.http.post(
        edge.url + members.pop("path", PATHS["openai"]),
        json={**ASK, **members},
        headers={"authorization": f"Bearer {token}", **(headers or {})},
    ) as answer:
        return answer.status, answer.headers.get("x-watchkeeper-cache"), await answer.read()


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
@pytest.mark.parametrize("stream", [False, True])
async def test_the_same_call_has_the_same_answer_for_nothing(
    tmp_path: Path, model_provider: Provider, protocol: str, stream: bool
) -> None:
    async with opened(tmp_path, model_provider, protocol=protocol) as edge:
        token = await edge.open_run()
        before = len(model_provider.requests())
        asked: dict[str, Any] = {"stream": stream, "path": PATHS[protocol]}
        first = await ask(edge, token, **asked)
        await edge.outcomes(1)
        again = await ask(edge, token, **asked)
        assert (first[0], first[1]) == (200, "miss")
        assert again == (200, "hit", first[2])
        assert len(model_provider.requests()) == before + 1
        paid, free = await edge.outcomes(2)
        assert paid["cost_micros"] > 0
        assert (free["status"], free["cost_micros"], free["output_tokens"]) == ("succeeded", 0, 0)
        assert free["cached"] is True
        assert len(await edge.events("decision.permitted")) == 2
        other = await ask(edge, token, **{**asked, "stream": not stream})
        assert other[1] == "miss", "a stream and a whole answer are two answers"


async def test_an_answer_is_given_until_its_time_is_up(
    edge: Edge, model_provider: Provider
) -> None:
    token = await edge.open_run()
    await ask(edge, token)
    clock: Any = edge.store.clock
    clock.advance(TTL - 5)
    assert (await ask(edge, token))[1] == "hit"
    clock.advance(6)
    assert (await ask(edge, token))[1] == "miss"


async def test_a_caller_may_want_a_new_answer(edge: Edge) -> None:
    token = await edge.open_run()
    assert (await ask(edge, token))[1] == "miss"
    assert (await ask(edge, token, {"cache-control": "max-age=0, No-Store"}))[1] == "off"
    assert (await ask(edge, token, {"cache-control": "no-cache"}))[1] in ("miss", "off")
    assert (await ask(edge, token))[1] == "hit"


async def test_what_is_not_the_same_has_its_own_answer(edge: Edge) -> None:
    token = await edge.open_run()
    await ask(edge, token)
    assert (await ask(edge, token, max_tokens=4))[1] == "miss"
    assert (await ask(edge, token, user="u"))[1] == "miss"
    assert (await ask(edge, token, messages=[{"role": "user", "content": "one"}]))[1] == "miss"


async def test_another_run_of_the_agent_shares_and_one_for_another_person_does_not(
    edge: Edge,
) -> None:
    await ask(edge, await edge.open_run())
    assert (await ask(edge, await edge.open_run()))[1] == "hit"
    assert (await ask(edge, await edge.open_run(on_behalf_of="customer/bob")))[1] == "miss"
    assert (await ask(edge, await edge.open_run(on_behalf_of=None)))[1] == "miss"


async def test_a_token_that_is_not_for_the_model_finds_no_answer(edge: Edge) -> None:
    await ask(edge, await edge.open_run())
    for scopes, status in (({"tool:books.echo"}, 403), ({"model:small-fast"}, 200)):
        narrow = TokenScope((Layer(frozenset(scopes)),))
        said = await ask(edge, await edge.open_run(scope=narrow))
        assert said[:2] == (status, "hit" if status == 200 else None)


async def test_a_team_shares_where_the_model_says_so(
    tmp_path: Path, model_provider: Provider
) -> None:
    others = (
        contract("mate"),
        contract("stranger", owner="finance-lead"),
        contract("other-rules", model_routing={"default": "small-fast", "allowed": ["large"]}),
        contract("stricter", logging={"pii_redaction": "strict"}),
    )
    shared = {"scope": "team", "ttl_seconds": TTL}
    async with opened(tmp_path, model_provider, *others, cache=shared) as edge:
        await ask(edge, await edge.open_run())
        assert (await ask(edge, await edge.open_run("mate")))[1] == "hit"
        for name in ("stranger", "other-rules", "stricter"):
            assert (await ask(edge, await edge.open_run(name)))[1] == "miss", name


async def test_an_agent_shares_with_no_other_unless_the_model_says_so(
    tmp_path: Path, model_provider: Provider
) -> None:
    async with opened(tmp_path, model_provider, contract("mate")) as edge:
        await ask(edge, await edge.open_run())
        assert (await ask(edge, await edge.open_run("mate")))[1] == "miss"


@pytest.mark.parametrize(
    "members",
    [
        {"model_routing": {"default": "small-fast", "cache": False}},
        {"logging": {"zero_retention": True}},
    ],
)
async def test_a_contract_may_want_none_kept(edge: Edge, members: dict[str, Any]) -> None:
    await ask(edge, await edge.open_run())
    await edge.apply(contract(**members))
    for _ in range(2):
        assert (await ask(edge, await edge.open_run()))[:2] == (200, "off")


async def test_a_model_without_a_cache_keeps_nothing(
    tmp_path: Path, model_provider: Provider
) -> None:
    async with opened(tmp_path, model_provider, cache=None) as edge:
        token = await edge.open_run()
        for _ in range(2):
            assert (await ask(edge, token))[:2] == (200, "off")


async def test_a_stop_a_contract_and_a_budget_hold_for_kept_answers_too(
    edge: Edge, model_provider: Provider
) -> None:
    token = await edge.open_run()
    await ask(edge, token)
    before = len(model_provider.requests())
    await edge.apply(agent_document(budgets={"max_cost_usd_per_run": 0.0001}))
    assert (await ask(edge, await edge.open_run()))[0] == 402
    await edge.apply(contract(model_routing={"default": "other"}))
    assert (await ask(edge, token))[0] == 403
    await edge.apply(agent_document())
    await edge.stop_agent()
    assert (await ask(edge, token))[0] == 403
    assert len(model_provider.requests()) == before


async def test_a_changed_model_or_provider_drops_its_answers(
    edge: Edge, model_provider: Provider
) -> None:
    token = await edge.open_run()
    await ask(edge, token)
    await edge.apply(models(model_provider))
    assert (await ask(edge, token))[1] == "hit", "nothing was changed"
    await edge.apply(models(model_provider, tags=["other"]))
    assert (await ask(edge, token))[1] == "miss"
    await edge.apply(models(model_provider, tags=["other"]).replace("zero", "limited"))
    assert (await ask(edge, token))[1] == "miss"
    await edge.apply(models(model_provider))
    assert (await ask(edge, token))[1] == "miss", "what was dropped is gone"


@pytest.mark.parametrize("wish", [{"status": 500}, {"status": 400}, {"break_after_words": 2}])
async def test_only_complete_answers_are_kept(
    edge: Edge, model_provider: Provider, wish: dict[str, Any]
) -> None:
    token = await edge.open_run()
    model_provider.wish(**wish)
    await ask(edge, token, stream=True)
    model_provider.wish()
    assert (await ask(edge, token, stream=True))[1] == "miss"
    assert (await ask(edge, token, stream=True))[1] == "hit"


async def test_a_stream_that_its_caller_left_is_not_kept(
    edge: Edge, model_provider: Provider
) -> None:
    model_provider.wish(hold_after_words=2)
    token = await edge.open_run()
    async with edge.openai(token) as client:
        stream = await client.chat.completions.create(**ASK, stream=True)
        await anext(aiter(stream))
        await stream.close()
    await edge.outcomes(1)
    model_provider.wish()
    assert (await ask(edge, token, stream=True))[1] == "miss"
