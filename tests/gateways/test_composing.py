"""Model calls that several models answer: judged, combined, and paid for as one."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import anthropic
import openai
import pytest

from tests.gateways.ground import open_edge
from tests.gateways.routing_ground import (
    ASK,
    ask,
    documents,
    models_sent,
    no_wait,
    route,
)
from tests.rig.deadline import eventually_async
from tests.rig.provider import Provider
from tests.rig.world import agent_document, world
from watchkeeper.gateways.model.dialects.chat import Chat
from watchkeeper.kill.model import LockTarget, NewLock


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_does_not_do_is_given_by_the_stronger_model(
    tmp_path: Path, model_provider: Provider, stream: bool
) -> None:
    """Both are paid for; the caller never sees the first."""
    model_provider.wish(
        of={"cheap-1": {"say": "I am not sure"}, "large-1": {"say": '{"refund":1}'}}
    )
    async with open_edge(tmp_path, *documents(model_provider)) as edge:
        token = await edge.open_run()
        since = len(model_provider.requests())
        said = await ask(edge, token, "unsure", stream=stream, max_tokens=20)
        assert said.text == '{"refund":1}'
        model, why = route(said)
        assert model == "large-careful"
        assert why.startswith("escalated to large-careful: its answer matches '(?i)not sure'; ")
        assert models_sent(model_provider, since) == ["cheap-1", "large-1"]
        (done,) = await edge.outcomes()
        assert (done["status"], done["model"], done["provider_model"]) == (
            "succeeded",
            "large-careful",
            "large-1",
        )
        assert (done["input_tokens"], done["output_tokens"]) == (6, 5)
        assert done["cost_micros"] == 1 + 3 * 4 + 16
        (escalated,) = await edge.events("route.escalated")
        assert escalated["reason"] == why
        (permitted,) = await edge.events("decision.permitted")
        assert permitted["routed"]["stronger"]["model"] == "large-careful"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("says", "why"),
    [
        ('{"refund":1}', None),
        ('```json\n{"refund":1}\n```', None),
        ("no", "its answer is no JSON"),
        ('{"refund":"x"}', "its answer does not fit the schema"),
    ],
)
async def test_an_answer_of_the_schema_is_passed_on_as_it_came(
    tmp_path: Path, model_provider: Provider, says: str, why: str | None, stream: bool
) -> None:
    model_provider.wish(of={"cheap-1": {"say": says}})
    async with open_edge(tmp_path, *documents(model_provider)) as edge:
        token = await edge.open_run()
        said = await ask(edge, token, "unsure", stream=stream)
        model, reason = route(said)
        if why is not None:
            assert model == "large-careful"
            assert why in reason
            return
        assert model == "unsure"
        assert said.text == says
        (done,) = await edge.outcomes()
        assert (done["model"], done["provider_model"]) == ("unsure", "cheap-1")
        assert await edge.events("route.escalated") == []


async def test_an_answer_that_calls_tools_is_not_judged(
    tmp_path: Path, model_provider: Provider
) -> None:
    model_provider.wish(call={"name": "f", "arguments": {}, "until": "never"})
    async with open_edge(tmp_path, *documents(model_provider)) as edge:
        said = await ask(edge, await edge.open_run(), "unsure")
        assert route(said)[0] == "unsure"


@pytest.mark.parametrize("stream", [False, True])
async def test_two_models_answer_and_a_third_from_both(
    tmp_path: Path, model_provider: Provider, stream: bool
) -> None:
    model_provider.wish(
        of={
            "small-1": {"say": "first answer"},
            "large-1": {"say": "second answer"},
            "cheap-1": {"say": "the best"},
        }
    )
    async with open_edge(tmp_path, *documents(model_provider)) as edge:
        token = await edge.open_run()
        since = len(model_provider.requests())
        said = await ask(edge, token, "both", stream=stream, max_tokens=50)
        assert said.text == "the best"
        assert route(said) == (
            "cheap",
            "small-fast and large-careful answer, and cheap from both",
        )
        sent = model_provider.requests()[since:]
        assert sorted(models_sent(model_provider, since)[:2]) == ["large-1", "small-1"]
        assert sent[2]["body"]["model"] == "cheap-1"
        told = json.dumps(sent[2]["body"]["messages"])
        assert told.index("one two three") < told.index("Two assistants answered")
        assert told.index("first answer") < told.index("second answer")
        (done,) = await edge.outcomes()
        third = sent[2]["body"]["messages"]
        tokens = sum(len(str(one["content"]).split()) for one in third)
        assert done["input_tokens"] == 3 + 3 + tokens
        assert done["output_tokens"] == 2 + 2 + 2
        assert done["model"] == "cheap"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("broken", "answer", "why"),
    [
        ("small-1", "second", "large-careful answers alone: small-fast failed ("),
        ("large-1", "first", "small-fast answers alone: large-careful failed ("),
        ("cheap-1", "first", "small-fast answers alone: cheap failed ("),
    ],
)
async def test_what_is_left_of_an_ensemble_answers_alone_and_says_so(
    tmp_path: Path, model_provider: Provider, broken: str, answer: str, why: str, stream: bool
) -> None:
    says = {"small-1": {"say": "first"}, "large-1": {"say": "second"}, "cheap-1": {"say": "x"}}
    model_provider.wish(of={**says, broken: {"status": 400 if broken == "cheap-1" else 501}})
    async with open_edge(tmp_path, *documents(model_provider)) as edge:
        edge.gateways.providers.wait = no_wait
        said = await ask(edge, await edge.open_run(), "both", stream=stream)
        assert said.text == answer
        assert why in route(said)[1]
        (done,) = await edge.outcomes()
        assert done["status"] == "succeeded"
        (reduced,) = await edge.events("route.reduced")
        assert why in reduced["reason"]


async def test_an_ensemble_without_any_answer_fails_as_one_call(
    tmp_path: Path, model_provider: Provider
) -> None:
    model_provider.wish(status=501)
    async with open_edge(tmp_path, *documents(model_provider)) as edge:
        edge.gateways.providers.wait = no_wait
        with pytest.raises(openai.APIStatusError, match="501"):
            await ask(edge, await edge.open_run(), "both")
        (done,) = await edge.outcomes()
        assert (done["status"], done["cost_micros"]) == ("failed", 0)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_kill_of_one_model_cuts_all_that_answer(
    tmp_path: Path, model_provider: Provider, stream: bool
) -> None:
    model_provider.wish(hold_after_words=0)
    async with open_edge(tmp_path, *documents(model_provider)) as edge:
        token = await edge.open_run()
        since = len(model_provider.requests())
        call = asyncio.create_task(ask(edge, token, "both", stream=stream))

        async def both_asked() -> bool:
            return len(model_provider.requests()) == since + 2

        await eventually_async(both_asked, "both models are asked")
        target = LockTarget("model", "large-careful")
        taken, _ = await edge.kill.lock(
            NewLock(target, mode="stop", reason="odd", by="person/owner")
        )
        with pytest.raises(openai.PermissionDeniedError, match=taken.lock):
            await call
        (done,) = await edge.outcomes()
        assert done["status"] == "unknown"
        assert done["cost_micros"] > 0
        assert len(model_provider.requests()) == since + 2
        model_provider.wish()


@pytest.mark.parametrize("stream", [False, True])
async def test_who_hangs_up_on_a_judged_stream_pays_for_what_was_said(
    tmp_path: Path, model_provider: Provider, stream: bool
) -> None:
    """A whole answer is awaited, a stream is cut; neither is asked of the stronger model then."""
    model_provider.wish(hold_after_words=0, of={"cheap-1": {"say": "I am not sure"}})
    async with open_edge(tmp_path, *documents(model_provider)) as edge:
        token = await edge.open_run()
        since = len(model_provider.requests())
        call = asyncio.create_task(ask(edge, token, "unsure", stream=stream, max_tokens=20))

        async def asked() -> bool:
            return len(model_provider.requests()) == since + 1

        await eventually_async(asked, "the smaller model is asked")
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        if not stream:
            model_provider.wish(of={"cheap-1": {"say": "I am not sure"}})
        (done,) = await edge.outcomes()
        assert done["status"] == ("unknown" if stream else "succeeded")
        assert done["input_tokens"] > 0
        assert len(model_provider.requests()) == since + (1 if stream else 2)
        model_provider.wish()


ANTHROPIC = """
provider:
  name: near
  protocol: anthropic
  base_url: %s
  models: [{name: claude-small, input_usd_per_million: 3, output_usd_per_million: 15}]
---
model:
  name: small-fast
  provider: near
  provider_model: claude-small
  escalates_to: careful
  escalate_on: [{output_matches: three}]
---
model: {name: careful, provider: near, provider_model: claude-small}
---
model: {name: both, ensemble: {models: [careful, careful], adjudicator: careful}}
---
model: {name: other, provider: local, provider_model: small-1}
"""


@pytest.mark.parametrize("stream", [False, True])
async def test_anthropics_calls_are_judged_and_combined_too(
    tmp_path: Path, model_provider: Provider, stream: bool
) -> None:
    model_provider.wish()
    agent = agent_document().replace(
        "default: small-fast", "default: small-fast, allowed: [both, other]"
    )
    base = ANTHROPIC % model_provider.url.removesuffix("/v1")
    small = "model: {name: small-fast, provider: local, provider_model: small-1}"
    found = [
        one.replace(small, "").rstrip("-\n ") + "\n"
        for one in world(base, provider_url=model_provider.url, agent=agent)
    ]
    async with open_edge(tmp_path, *found) as edge:
        token = await edge.open_run()
        since = len(model_provider.requests())
        for model, answered, calls in (("small-fast", "careful", 2), ("both", "careful", 3)):
            async with edge.anthropic(token) as client:
                asked = {**ASK, "model": model, "max_tokens": 4}
                if stream:
                    async with client.messages.stream(**asked) as said:
                        final = await said.get_final_message()
                        headers = said.response.headers
                else:
                    raw = await client.messages.with_raw_response.create(**asked)
                    final, headers = await raw.parse(), raw.headers
            assert final.stop_reason
            assert final.content[0].type == "text"
            assert headers["x-watchkeeper-model"] == answered
            assert len(model_provider.requests()) == since + calls
            since += calls
        told = json.dumps(model_provider.requests()[-1]["body"])
        assert "Two assistants answered" in told
        assert "Answer 2:" in told
        done = (await edge.events("outcome.recorded"))[-1]
        assert done["status"] == "succeeded"
        async with edge.anthropic(token) as client:
            with pytest.raises(anthropic.NotFoundError, match="model/other/endpoint"):
                await client.messages.create(**ASK, model="other", max_tokens=4)
            counted = await client.messages.count_tokens(**ASK, model="both")
        assert counted.input_tokens == 3


@pytest.mark.parametrize(("length", "aside"), [(100, False), (200_000, True)])
async def test_a_long_answer_is_looked_through_beside_the_event_loop(
    tmp_path: Path,
    model_provider: Provider,
    monkeypatch: pytest.MonkeyPatch,
    length: int,
    aside: bool,
) -> None:
    model_provider.wish(of={"cheap-1": {"say": "x" * length}, "large-1": {"say": "well"}})
    threads: list[threading.Thread] = []
    looks = Chat.text_of

    def noted(dialect: Chat, body: bytes, *, streamed: bool = False) -> str | None:
        threads.append(threading.current_thread())
        return looks(dialect, body, streamed=streamed)

    monkeypatch.setattr(Chat, "text_of", noted)
    async with open_edge(tmp_path, *documents(model_provider)) as edge:
        said = await ask(edge, await edge.open_run(), "unsure", max_tokens=100)
        assert said.text == "well"
    (thread,) = threads
    assert (thread is not threading.main_thread()) is aside
