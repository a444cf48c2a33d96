"""What providers say beside and after their answers: nothing of it harms plane or caller."""

from __future__ import annotations

import asyncio
import gzip
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.gateways.bare import ENDED, SAID, STREAM, bare, completion, whole
from tests.gateways.failing import ASK, Ground, ground, model, provider
from watchkeeper.core.tracing import TraceContext
from watchkeeper.decide.kill.flight import InFlight
from watchkeeper.gateways.http import CallerWatch
from watchkeeper.gateways.model.dialects.chat import CHAT
from watchkeeper.gateways.model.passing import Headers, Kept
from watchkeeper.gateways.model.provider import ProviderCall
from watchkeeper.gateways.model.route import Route
from watchkeeper.kill.model import Covered
from watchkeeper.tools.upstreams.egress import LARGEST_ANSWER
from watchkeeper.tools.upstreams.model import UpstreamFailure

KEY = b"sk-acme-canary-key"


async def over(
    stack: AsyncExitStack, directory: Path, data: bytes, *, hang_up: bool = False, **more: Any
) -> Ground:
    """Gateways over a provider that answers so."""
    url = await stack.enter_async_context(bare(data, hang_up=hang_up))
    more = {"retries": {"attempts": 1}, **more}
    documents = provider("acme", url, **more), model("acme")
    return await stack.enter_async_context(ground(directory, *documents))


async def test_a_content_type_that_no_header_holds_is_no_crash(
    tmp_path: Path, stack: AsyncExitStack
) -> None:
    here = await over(stack, tmp_path, whole(None, "content-type: text/plain; x=€".encode()))
    status, headers, body = await here.ask()
    assert (status, headers["content-type"]) == (200, "text/plain; x=?")
    assert json.loads(body)["choices"]


async def test_a_content_type_may_be_as_involved_as_it_likes(
    tmp_path: Path, stack: AsyncExitStack
) -> None:
    kind = "application/json" + "(" * 7000
    here = await over(stack, tmp_path, whole(None, f"content-type: {kind}".encode()))
    status, headers, body = await here.ask()
    assert status == 200
    assert kind.startswith(headers["content-type"])
    assert json.loads(body)["choices"]


@pytest.mark.parametrize(
    ("data", "stream"),
    [
        (whole(None, b"content-type: text/plain; x=" + KEY), False),
        (whole({}, b"retry-after: " + KEY, status=b"429 Slow"), False),
        (STREAM.replace(b"event-stream", b"event-stream; x=" + KEY) + SAID + ENDED, True),
    ],
    ids=["content-type", "retry-after", "content-type of a stream"],
)
async def test_a_key_in_a_header_reaches_nobody(
    tmp_path: Path,
    stack: AsyncExitStack,
    monkeypatch: pytest.MonkeyPatch,
    data: bytes,
    stream: bool,
) -> None:
    monkeypatch.setenv("ACME_KEY", KEY.decode())
    key = {"from": "env:ACME_KEY", "prefix": "Bearer "}
    here = await over(stack, tmp_path, data, credential=key)
    _, headers, body = await here.ask(stream=stream)
    assert KEY.decode() not in str(headers)
    assert "[credential withheld]" in str(headers)
    assert KEY not in body


@pytest.mark.parametrize("hang_up", [False, True], ids=["lingers", "breaks off"])
async def test_after_the_last_event_the_provider_may_do_as_it_likes(
    tmp_path: Path, stack: AsyncExitStack, hang_up: bool
) -> None:
    here = await over(stack, tmp_path, STREAM + SAID, hang_up=hang_up, timeout_seconds=2)
    status, _, body = await here.ask(stream=True)
    assert (status, body[-14:]) == (200, b"data: [DONE]\n\n")
    (outcome,) = await here.edge.outcomes()
    assert (outcome["status"], outcome["cost_micros"]) == ("succeeded", 5 + 3 * 2)
    assert here.state("acme") == "up"


@pytest.mark.parametrize(
    ("stream", "said"), [(False, b"200 OK"), (True, b"200 OK"), (False, b"400 Bad Request")]
)
async def test_a_compressed_answer_is_neither_unpacked_nor_passed_on(
    tmp_path: Path, stack: AsyncExitStack, stream: bool, said: bytes
) -> None:
    packed = gzip.compress(b"0" * 10_000_000)
    head = b"content-type: text/event-stream" if stream else b"content-type: application/json"
    data = whole(packed, head, b"content-encoding: gzip", status=said)
    here = await over(stack, tmp_path, data)
    status, _, body = await here.ask(stream=stream)
    assert status == 502
    assert b"compressed" in body


async def test_an_answer_that_is_kept_is_bounded_to_its_end() -> None:
    kept = Kept()
    await kept.begin("text/event-stream", ())
    await kept.push(bytes(LARGEST_ANSWER - 1))
    with pytest.raises(UpstreamFailure, match="too large"):
        await kept.end(b"xx")
    await kept.end(b"event: error\n\n")
    assert kept.data == b"event: error\n\n"


class HangsUpLast:
    """Takes a stream; whoever it is for hangs up while it takes the end."""

    begun = False

    def __init__(self, watch: CallerWatch, turns: int) -> None:
        self._watch = watch
        self._turns = turns

    async def begin(self, kind: str, headers: Headers) -> None:
        self.begun = True

    async def push(self, data: bytes) -> None:
        assert self.begun

    async def end(self, data: bytes) -> None:
        self._watch.leave()
        for _ in range(self._turns):
            await asyncio.sleep(0)


@pytest.mark.parametrize("turns", range(5))
async def test_hanging_up_at_the_last_moment_hides_no_outcome(
    tmp_path: Path, stack: AsyncExitStack, turns: int
) -> None:
    url = await stack.enter_async_context(bare(STREAM + SAID + ENDED))
    documents = provider("acme", url), model("acme")
    here = await stack.enter_async_context(ground(tmp_path, *documents))
    call = CHAT.read(json.dumps({**ASK, "stream": True}).encode(), {})
    watch = CallerWatch(asyncio.Event().wait)
    performing = ProviderCall(
        here.edge.gateways.providers,
        here.edge.decider,
        [Route("acme", url, None, "m", None, 1000)],
        CHAT,
        call,
        decision="dec_1",
        traceparent=TraceContext("a" * 32, "b" * 16).text(),
        headers=(),
        ceiling=100,
        watch=watch,
        receiver=HangsUpLast(watch, turns),
    )
    performed = await performing.perform(InFlight("dec_1", Covered("run_1", "a", "t"), print))
    for _ in range(5):
        await asyncio.sleep(0)  # what is left to do with the outcome is not cut off
    assert performed.outcome.status == "succeeded"
    assert performed.outcome.usage.output_tokens == 3


@pytest.mark.parametrize("content", [[{"type": "text", "text": "hi"}], 5])
async def test_usage_counts_whatever_content_looks_like(
    tmp_path: Path, stack: AsyncExitStack, content: Any
) -> None:
    here = await over(stack, tmp_path, whole(completion(content)))
    assert (await here.ask())[0] == 200
    (outcome,) = await here.edge.outcomes()
    assert (outcome["input_tokens"], outcome["output_tokens"]) == (5, 3)
