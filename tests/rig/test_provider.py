"""The rig's provider answers as the official client expects, and does what the test wishes."""

from __future__ import annotations

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletionUserMessageParam

from tests.rig.provider import Provider

QUESTION: list[ChatCompletionUserMessageParam] = [{"role": "user", "content": "one two three"}]


@pytest.fixture
def client(provider: Provider) -> openai.OpenAI:
    return openai.OpenAI(api_key="key", base_url=provider.url, max_retries=0, timeout=20)


def test_the_same_question_gets_the_same_answer_and_count(client: openai.OpenAI) -> None:
    answers = [
        client.chat.completions.create(model="small-1", messages=QUESTION, max_tokens=4)
        for _ in range(2)
    ]
    assert {a.choices[0].message.content for a in answers} == {"one two three one"}
    usage = answers[0].usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (3, 4)


def test_a_stream_carries_words_then_usage(client: openai.OpenAI, provider: Provider) -> None:
    chunks = list(
        client.chat.completions.create(
            model="small-1",
            messages=QUESTION,
            max_tokens=3,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "one two three "
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 6
    (request,) = provider.requests()
    assert request["authorization"] == "Bearer key"


def test_an_error_on_demand(client: openai.OpenAI, provider: Provider) -> None:
    provider.wish(status=500, message="on fire")
    with pytest.raises(openai.InternalServerError, match="on fire"):
        client.chat.completions.create(model="small-1", messages=QUESTION)
    provider.wish()
    assert client.chat.completions.create(model="small-1", messages=QUESTION).choices


def test_a_stream_waits_where_the_test_holds_it(client: openai.OpenAI, provider: Provider) -> None:
    provider.wish(hold_after_words=2)
    stream = client.chat.completions.create(
        model="small-1", messages=QUESTION, max_tokens=5, stream=True
    )
    first = [next(stream).choices[0].delta.content for _ in range(2)]
    assert first == ["one ", "two "]
    provider.wish()
    rest = [chunk.choices[0].delta.content for chunk in stream if chunk.choices]
    assert rest == ["three ", "one ", "two ", None]


def test_a_stream_breaks_where_the_test_wants(client: openai.OpenAI, provider: Provider) -> None:
    provider.wish(break_after_words=1)
    stream = client.chat.completions.create(model="small-1", messages=QUESTION, stream=True)
    with pytest.raises((openai.APIError, httpx2.TransportError), match=r"closed|onnection"):
        list(stream)
