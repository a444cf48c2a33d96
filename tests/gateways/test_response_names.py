"""What providers call their answers: recorded as names, and nothing else of what they say there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.gateways.bare import completion
from tests.gateways.crooked import respond
from tests.gateways.ground import open_edge
from tests.gateways.serving import serving
from tests.rig.world import world
from watchkeeper.gateways.model.dialects.chat_meter import ChatMeter
from watchkeeper.gateways.model.dialects.embeddings import EmbeddingMeter
from watchkeeper.gateways.model.dialects.messages_meter import MessagesMeter
from watchkeeper.gateways.model.dialects.responses_meter import ResponsesMeter
from watchkeeper.wire.decisions import Response

Meters = ChatMeter | EmbeddingMeter | MessagesMeter | ResponsesMeter


def chat() -> ChatMeter:
    return ChatMeter(1000, 0, wants_usage=True)


def told(meter: Meters, *said: dict[str, Any], whole: bool = False) -> Response | None:
    for one in said:
        assert meter.take(json.dumps(one).encode(), whole=whole)
    return meter.response()


CALLED = {"id": "chatcmpl-1", "model": "small-1-2026-01-01"}
MESSAGE = {"id": "msg_1", "model": "large-2", "usage": {"input_tokens": 1, "output_tokens": 1}}


@pytest.mark.parametrize(
    ("meter", "said", "whole", "expected"),
    [
        (
            chat(),
            [
                {**CALLED, "choices": [{"delta": {"content": "a"}, "finish_reason": None}]},
                {"id": "other", "choices": [{"delta": {}, "finish_reason": "length"}]},
                {**CALLED, "choices": [{"delta": {}, "finish_reason": "stop"}]},
            ],
            False,
            Response(**CALLED, finish_reasons=("length", "stop")),
        ),
        (
            chat(),
            [{**CALLED, "choices": [{"message": {"content": "a"}, "finish_reason": "stop"}] * 2}],
            True,
            Response(**CALLED, finish_reasons=("stop",)),
        ),
        (
            MessagesMeter(10, 10),
            [
                {"type": "message_start", "message": MESSAGE},
                {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
            ],
            False,
            Response(id="msg_1", model="large-2", finish_reasons=("tool_use",)),
        ),
        (
            MessagesMeter(10, 10),
            [{**MESSAGE, "stop_reason": "end_turn"}],
            True,
            Response(id="msg_1", model="large-2", finish_reasons=("end_turn",)),
        ),
        (
            ResponsesMeter(10, 10, thinks=False),
            [{"type": "response.completed", "response": {**CALLED, "status": "completed"}}],
            False,
            Response(**CALLED, finish_reasons=("completed",)),
        ),
        (
            ResponsesMeter(10, 10, thinks=False),
            [{**CALLED, "status": "incomplete", "incomplete_details": {"reason": "max_tokens"}}],
            True,
            Response(**CALLED, finish_reasons=("max_tokens",)),
        ),
        (EmbeddingMeter(10), [{"model": "embed-1"}], True, Response(model="embed-1")),
        (chat(), [{"choices": [{"message": {"content": "a"}}]}], True, None),
    ],
)
def test_each_protocol_says_which_answer_of_which_model_it_was_and_why_it_ended(
    meter: Meters, said: list[dict[str, Any]], whole: bool, expected: Response | None
) -> None:
    assert told(meter, *said, whole=whole) == expected


@pytest.mark.parametrize(
    "odd",
    [
        7, True, [], {"a": "b"}, "", "kim@example.com", "4111 1111 1111 1111", "4111111111111111",
        "+31612345678", "a b", "\u202eid", "x" * 200, 10**30, [[[["deep"]]]],
    ],
)  # fmt: skip
def test_what_is_no_name_is_not_recorded_and_spoils_no_count(odd: Any) -> None:
    meter = chat()
    choice = {"message": {"content": "four"}, "finish_reason": odd}
    assert told(meter, {"id": odd, "model": odd, "choices": [choice]}, whole=True) is None
    assert meter.passed == len("four")
    message = MessagesMeter(10, 10)
    said = {**MESSAGE, "id": odd, "model": odd, "stop_reason": odd}
    assert told(message, said, whole=True) is None
    assert message.usage().output_tokens == 1


def test_of_many_reasons_a_few_are_kept() -> None:
    meter = chat()
    choices = [{"delta": {}, "finish_reason": f"r{n}"} for n in range(100)]
    said = told(meter, {**CALLED, "choices": choices})
    assert said is not None
    assert said.finish_reasons == tuple(f"r{n}" for n in range(8))


def test_thoughts_are_part_of_the_output_that_is_reported() -> None:
    meter = chat()
    details = {"reasoning_tokens": 900}
    meter.take(
        json.dumps(
            {"usage": {"prompt_tokens": 1, "completion_tokens": 5,
                       "completion_tokens_details": details}}
        ).encode(),
        whole=True,
    )  # fmt: skip
    assert meter.usage().reasoning_tokens == 5


async def test_it_is_recorded_with_the_outcome(tmp_path: Path) -> None:
    answer = {**completion(), "id": "chatcmpl-9", "model": "small-1-2026"}
    answer["choices"][0]["finish_reason"] = "stop"
    answer["usage"] = {
        "prompt_tokens": 7,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }

    async def provider(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await respond(send, 200, json.dumps(answer).encode())

    async with (
        serving(provider) as url,
        open_edge(tmp_path, *world(provider_url=f"{url}/v1")) as edge,
    ):
        async with edge.http.post(
            f"{edge.url}/openai/v1/chat/completions",
            json={"model": "small-fast", "messages": [{"role": "user", "content": "hi"}]},
            headers={"authorization": f"Bearer {await edge.open_run()}"},
        ) as said:
            assert said.status == 200
        (ended,) = await edge.events("outcome.recorded")
    assert ended["response"] == {
        "id": "chatcmpl-9", "model": "small-1-2026", "finish_reasons": ["stop"],
    }  # fmt: skip
    assert (ended["cache_read_tokens"], ended["reasoning_tokens"]) == (4, 2)
