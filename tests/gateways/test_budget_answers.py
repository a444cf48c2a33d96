"""What a model call is answered as a budget is used up, with OpenAI's own client."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.gateways.ground import Edge, open_edge
from tests.gateways.test_obligations import LARGE, asked, clerk
from tests.rig.provider import Provider
from tests.rig.world import world

PERMIT = '@id("contracts-permit") permit (principal, action, resource);'
ID = "agent/clerk/day/spend"


def documents(provider: Provider, cap: float, *responses: dict[str, Any], **more: Any) -> list[str]:
    budget = {
        "name": "day",
        "scope": "agent/clerk",
        "period": "day",
        "limits": {"spend_usd": cap},
        "responses": list(responses),
        **more,
    }
    return world(
        LARGE % provider.url,
        json.dumps({"budget": budget}),
        provider_url=provider.url,
        agent=clerk("").replace("hold_seconds: 0", "hold_seconds: 20"),
    )


async def create(edge: Edge, token: str, **more: Any) -> Any:
    async with edge.openai(token) as client:
        call = asked(("user", "one two three")) | more
        return await client.chat.completions.with_raw_response.create(**call)


async def balance(edge: Edge) -> tuple[int, int]:
    """Return what is posted and held of the budget."""
    from sqlalchemy import text

    query = text("select posted_spend, held_spend from budget_balances where scope = 'agent/clerk'")
    return tuple(await edge.store.read(lambda tx: tx.connection.execute(query).one()))


async def test_the_answer_is_as_long_as_there_is_room_for(
    tmp_path: Path, model_provider: Provider
) -> None:
    model_provider.wish()
    async with open_edge(tmp_path, *documents(model_provider, 0.001), policy=PERMIT) as edge:
        token = await edge.open_run()
        answer = await create(edge, token, max_tokens=1000)
        (permitted,) = await edge.events("decision.permitted")
        (duty,) = permitted["obligations"]
        most = duty["max_output_tokens"]
        assert (duty["kind"], duty["policy"]) == ("max_output_tokens", f"budget/{ID}")
        assert 200 < most < 625
        assert model_provider.requests()[-1]["body"]["max_tokens"] == most
        assert f"answered in at most {most} tokens: budget {ID} has" in permitted["reason"]
        assert ID in answer.headers["x-watchkeeper-lowered"]
        posted, held = await balance(edge)
        assert 0 < posted + held <= 1000
        assert await edge.events("budget.exhausted") == []


async def test_what_is_too_little_to_answer_in_is_refused_for_good(
    tmp_path: Path, model_provider: Provider
) -> None:
    model_provider.wish()
    async with open_edge(tmp_path, *documents(model_provider, 0.0001), policy=PERMIT) as edge:
        token = await edge.open_run()
        sent = len(model_provider.requests())
        with pytest.raises(openai.APIStatusError, match=ID) as caught:
            await create(edge, token, messages=[{"role": "user", "content": "x" * 300}])
        assert caught.value.status_code == 402
        assert caught.value.response.headers["x-should-retry"] == "false"
        assert "wait until it resets" in caught.value.message
        assert len(model_provider.requests()) == sent
        assert len(await edge.events("budget.exhausted")) == 1


async def test_people_are_asked_of_what_a_shorter_answer_would_not_fit_under(
    tmp_path: Path, model_provider: Provider
) -> None:
    ask = {"do": "ask", "role": "finance-ops"}
    stops = {"name": "calls", "scope": "agent/clerk", "period": "invocation"}
    shorter = json.dumps({"budget": {**stops, "limits": {"output_tokens": 500}}})
    told = [*documents(model_provider, 0.0001, ask), shorter]
    async with open_edge(tmp_path, *told, policy=PERMIT) as edge:
        token = await edge.open_run()
        long = [{"role": "user", "content": "x" * 300}]
        call = asyncio.create_task(create(edge, token, max_tokens=1000, messages=long))
        await edge.pending()
        await edge.vote()
        answer = await call
        assert answer.headers["x-watchkeeper-lowered"].endswith("invocation/output_tokens")


async def test_a_cheaper_model_answers_from_its_level_on(
    tmp_path: Path, model_provider: Provider
) -> None:
    model_provider.wish()
    degrade = {"at": 1, "do": "degrade", "model": "small-fast"}
    async with open_edge(
        tmp_path, *documents(model_provider, 0.05, degrade), policy=PERMIT
    ) as edge:
        token = await edge.open_run()
        await create(edge, token, model="large-careful", max_tokens=20)
        assert model_provider.requests()[-1]["body"]["model"] == "large-1"
        long = [{"role": "user", "content": "word " * 300}]
        await create(edge, token, model="large-careful", max_tokens=20, messages=long)
        answer = await create(edge, token, model="large-careful", max_tokens=20)
        assert model_provider.requests()[-1]["body"]["model"] == "small-1"
        assert answer.headers["x-watchkeeper-model"] == "small-fast"
        assert "% used" in answer.headers["x-watchkeeper-route"]
        permitted = (await edge.events("decision.permitted"))[-1]
        assert permitted["routed"]["cause"] == "budget"


async def test_what_a_budget_led_to_a_cheaper_model_is_not_judged_back_to_the_dearer(
    tmp_path: Path, model_provider: Provider
) -> None:
    model_provider.wish()
    degrade = {"at": 1, "do": "degrade", "model": "picky"}
    picky = {
        "name": "picky",
        "provider": "local",
        "provider_model": "small-1",
        "escalates_to": "large-careful",
        "escalate_on": [{"output_matches": "."}],
    }
    told = [*documents(model_provider, 0.05, degrade), json.dumps({"model": picky})]
    async with open_edge(tmp_path, *told, policy=PERMIT) as edge:
        token = await edge.open_run()
        long = [{"role": "user", "content": "word " * 300}]
        await create(edge, token, model="large-careful", max_tokens=20, messages=long)
        sent = len(model_provider.requests())
        answer = await create(edge, token, model="large-careful", max_tokens=20)
        assert answer.headers["x-watchkeeper-model"] == "picky"
        (asked,) = model_provider.requests()[sent:]
        assert asked["body"]["model"] == "small-1"


async def test_calls_pass_at_a_rate_from_its_level_on(
    tmp_path: Path, model_provider: Provider
) -> None:
    model_provider.wish()
    throttle = {"at": 1, "do": "throttle", "rate": {"calls": 1, "per": "minute"}}
    async with open_edge(
        tmp_path, *documents(model_provider, 0.001, throttle), policy=PERMIT
    ) as edge:
        token = await edge.open_run()
        await create(edge, token, max_tokens=20)
        await create(edge, token, max_tokens=20)
        with pytest.raises(openai.RateLimitError, match=ID) as caught:
            await create(edge, token, max_tokens=20)
        assert caught.value.response.headers["retry-after"] == "60"
        assert caught.value.response.headers["x-should-retry"] == "true"


async def test_a_held_call_is_answered_once_a_person_tops_the_budget_up(
    tmp_path: Path, model_provider: Provider
) -> None:
    model_provider.wish()
    ask = {"do": "ask", "top_up_percent": 1000, "role": "finance-ops"}
    async with open_edge(tmp_path, *documents(model_provider, 0.0002, ask), policy=PERMIT) as edge:
        token = await edge.open_run()
        calls = [asyncio.create_task(create(edge, token, max_tokens=20)) for _ in range(2)]
        ((request, _),) = await edge.pending()
        assert await edge.vote() == request
        for call in calls:
            assert (await call).status_code == 200
        (event,) = await edge.events("budget.topped_up")
        assert event["budget"] == ID
