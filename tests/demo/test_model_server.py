"""The model server speaks the OpenAI protocol as its official client expects it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import openai
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from tests.demo.serving import KEY, model_server
from tests.demo.test_plans import answer, opening
from watchkeeper.demo.agents.chat import Chat
from watchkeeper.demo.agents.refusal import NotPerformed
from watchkeeper.demo.estimate import prompt_tokens
from watchkeeper.demo.plans.next_step import next_step
from watchkeeper.demo.sample import read_work

ITEM = read_work("refund-assistant")[1]
MESSAGES: Any = opening("refund-assistant", ITEM)


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with model_server(piece_seconds=0, unhurried=0, fail_every={"local/large-1": 2}) as url:
        yield url


@asynccontextmanager
async def client(url: str, key: str = KEY) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=url, api_key=key, max_retries=0) as made:
        yield made


async def test_it_lists_models_and_asks_for_a_tool(url: str) -> None:
    async with client(url) as model:
        models = await model.models.list()
        reply = await model.chat.completions.create(model="small-1", messages=MESSAGES)
    assert [listed.id for listed in models.data] == ["small-1", "large-1"]
    call: Any = (reply.choices[0].message.tool_calls or [])[0]
    assert reply.choices[0].finish_reason == "tool_calls"
    assert call.function.name == "zendesk_read_ticket"
    assert call.function.arguments == '{"ticket_id":"4101"}'
    assert reply.usage is not None
    assert reply.usage.prompt_tokens == prompt_tokens(MESSAGES)
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


async def test_a_stream_says_the_same_and_counts_the_same(url: str) -> None:
    text, arguments, usage = "", "", None
    async with client(url) as model:
        whole = await model.chat.completions.create(model="small-1", messages=MESSAGES)
        stream = await model.chat.completions.create(
            model="small-1", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
        async for chunk in stream:
            for choice in chunk.choices:
                text += choice.delta.content or ""
                for piece in choice.delta.tool_calls or []:
                    arguments += (piece.function.arguments if piece.function else "") or ""
            usage = chunk.usage or usage
    call: Any = (whole.choices[0].message.tool_calls or [])[0]
    assert text == whole.choices[0].message.content
    assert arguments == call.function.arguments
    assert usage == whole.usage


async def test_an_agents_own_client_reads_both_ways_alike(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        chat = Chat(session, url)
        whole = await chat.ask(KEY, "small-1", MESSAGES, [], stream=False)
        pieces = await chat.ask(KEY, "small-1", MESSAGES, [], stream=True)
    assert pieces == whole


async def test_every_nth_call_fails_as_told(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        chat = Chat(session, url)
        await chat.ask(KEY, "large-1", MESSAGES, [], stream=False)
        with pytest.raises(NotPerformed, match="overloaded") as caught:
            await chat.ask(KEY, "large-1", MESSAGES, [], stream=False)
        assert caught.value.refusal.kind == "down"


async def test_it_refuses_strangers_unknown_models_and_nonsense(url: str) -> None:
    async with client(url, "wrong") as stranger:
        with pytest.raises(openai.AuthenticationError):
            await stranger.chat.completions.create(model="small-1", messages=MESSAGES)
    async with client(url) as model:
        with pytest.raises(openai.NotFoundError):
            await model.chat.completions.create(model="huge-1", messages=MESSAGES)
        with pytest.raises(openai.BadRequestError, match="not a chat"):
            await model.chat.completions.create(
                model="small-1", messages=[{"role": "user", "content": "hello"}]
            )


async def test_responses_say_the_same_in_pieces_and_whole(url: str) -> None:
    asked = [*MESSAGES]
    async with client(url) as model:
        whole = await model.responses.create(model="large-1", input=asked)
    async with (
        client(url.replace("/v1", "/nordic/v1")) as model,
        model.responses.stream(model="large-2", input=asked) as stream,
    ):
        async for _ in stream:
            pass
        pieced = await stream.get_final_response()
    assert whole.output_text == pieced.output_text
    called: Any = whole.output[-1]
    assert (called.type, called.name) == ("function_call", "zendesk_read_ticket")
    assert called.arguments == pieced.output[-1].arguments  # type: ignore[union-attr]
    assert whole.usage is not None
    assert pieced.usage is not None
    assert whole.usage.total_tokens == pieced.usage.total_tokens > 50


async def test_messages_say_the_same_in_pieces_and_whole(url: str) -> None:
    asked: Any = {
        "model": "careful-1",
        "max_tokens": 300,
        "system": MESSAGES[0]["content"],
        "messages": MESSAGES[1:],
    }
    house = url.replace("/v1", "/parley")
    async with AsyncAnthropic(base_url=house, api_key=KEY, max_retries=0) as model:
        whole = await model.messages.create(**asked)
        async with model.messages.stream(**asked) as stream:
            pieced = await stream.get_final_message()
    assert [block.to_dict() for block in whole.content] == [
        block.to_dict() for block in pieced.content
    ]
    assert (whole.stop_reason, pieced.stop_reason) == ("tool_use", "tool_use")
    assert whole.content[-1].input == {"ticket_id": "4101"}
    assert whole.usage.output_tokens == pieced.usage.output_tokens > 5


async def test_one_fails_and_then_has_no_time(url: str) -> None:
    async with client(url) as model:
        codes = []
        for _ in range(4):
            try:
                await model.chat.completions.create(model="large-1", messages=MESSAGES)
            except openai.APIStatusError as error:
                codes.append(error.status_code)
    assert codes == [500, 429]


def test_a_longer_chat_costs_more_tokens() -> None:
    longer = list(MESSAGES)
    answer(longer, next_step(longer), '{"body": "ä long täxt"}')
    assert prompt_tokens(longer) > prompt_tokens(MESSAGES) > 50
