"""Calls of providers that fail: sent again within bounds, then elsewhere."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.gateways.crooked_models import USAGE, WORDS, crooked_models
from tests.gateways.failing import ASK, ground, model, provider

NOWHERE = "http://127.0.0.1:9/v1"


async def test_a_provider_that_fails_once_is_asked_again(
    tmp_path: Path, stack: AsyncExitStack
) -> None:
    first = await stack.enter_async_context(crooked_models("500", "well"))
    here = await stack.enter_async_context(
        ground(tmp_path, provider("acme", first.url), model("acme"))
    )
    status, headers, body = await here.ask()
    assert status == 200
    assert json.loads(body)["choices"][0]["message"]["content"] == "".join(WORDS)
    assert headers["x-watchkeeper-provider"] == "acme"
    assert headers["x-watchkeeper-retries"] == "1"
    assert [0.5 <= seconds <= 1 for seconds in here.waited] == [True]
    outcome = await here.edge.outcome()
    assert (outcome["status"], outcome["retries"], outcome["provider"]) == ("succeeded", 1, "acme")
    assert (outcome["input_tokens"], outcome["output_tokens"]) == (5, 3)
    assert outcome["cost_micros"] == 5 * 1 + 3 * 2
    figures = here.figures("acme")
    assert (figures.calls, figures.retries, figures.errors) == (1, 1, 1)
    assert here.state("acme") == "up"


async def test_a_rate_limit_is_waited_for_where_it_is_short(
    tmp_path: Path, stack: AsyncExitStack
) -> None:
    first = await stack.enter_async_context(crooked_models("429:2", "well", "429:60"))
    here = await stack.enter_async_context(
        ground(tmp_path, provider("acme", first.url), model("acme"))
    )
    assert (await here.ask())[0] == 200
    assert here.waited == [2.0]
    status, headers, _ = await here.ask()
    assert (status, headers["retry-after"]) == (429, "60")
    assert headers["x-watchkeeper-provider"] == "acme"
    assert here.waited == [2.0]
    assert len(first.heard) == 3
    assert here.state("acme") == "up", "a provider that limits the rate is not down"


@pytest.mark.parametrize(
    "word", ["500", "503", "429:60", "401", "404", "redirect", "hang-up", "refused"]
)
async def test_the_next_target_answers_for_one_that_does_not(
    tmp_path: Path, stack: AsyncExitStack, word: str
) -> None:
    first = await stack.enter_async_context(crooked_models(word))
    second = await stack.enter_async_context(crooked_models("well"))
    url = NOWHERE if word == "refused" else first.url
    documents = provider("acme", url), provider("bolt", second.url), model("acme", "bolt")
    here = await stack.enter_async_context(ground(tmp_path, *documents))
    status, headers, _ = await here.ask()
    assert (status, headers["x-watchkeeper-provider"]) == (200, "bolt")
    again = {"429:60": 0, "401": 0, "404": 0, "redirect": 0}.get(word, 1)
    assert headers["x-watchkeeper-retries"] == str(1 + again)
    outcome = await here.edge.outcome()
    assert (outcome["status"], outcome["provider"]) == ("succeeded", "bolt")
    assert here.figures("acme").fallbacks == 1
    assert here.figures("bolt").calls == 1
    is_down = word not in ("404", "429:60", "redirect")
    assert (here.state("acme") == "down") is is_down
    assert second.heard[0]["model"] == "m"


async def test_tls_that_fails_and_a_missing_key_lead_to_the_next_target(
    tmp_path: Path, stack: AsyncExitStack
) -> None:
    first = await stack.enter_async_context(crooked_models())
    last = await stack.enter_async_context(crooked_models())
    documents = (
        provider("acme", first.url.replace("http:", "https:")),
        provider("keyless", first.url, credential={"from": "env:NO_SUCH_KEY"}),
        provider("bolt", last.url),
        model("acme", "keyless", "bolt"),
    )
    here = await stack.enter_async_context(ground(tmp_path, *documents))
    status, headers, _ = await here.ask()
    assert (status, headers["x-watchkeeper-provider"]) == (200, "bolt")
    assert first.heard == []
    assert here.state("keyless") == "down"
    assert "TLS" in here.edge.decider.statistics.health("acme").detail


async def test_where_all_are_down_the_last_error_is_told(
    tmp_path: Path, stack: AsyncExitStack
) -> None:
    first = await stack.enter_async_context(crooked_models("500"))
    second = await stack.enter_async_context(crooked_models("503"))
    documents = provider("acme", first.url), provider("bolt", second.url), model("acme", "bolt")
    here = await stack.enter_async_context(ground(tmp_path, *documents))
    status, headers, body = await here.ask()
    assert status == 502
    assert b"provider bolt" in body
    assert b"sk-canary" not in body
    assert headers["x-watchkeeper-retries"] == "3"
    outcome = await here.edge.outcome()
    assert (outcome["status"], outcome["cost_micros"]) == ("failed", 0)
    assert (here.state("acme"), here.state("bolt")) == ("down", "down")
    # what is down is tried last
    first.script, second.script = ["well"], ["well"]
    here.edge.decider.statistics.begin("bolt", "m", here.edge.store.clock.now())
    here.edge.decider.statistics.well("bolt", "m", here.edge.store.clock.now(), latency_ms=1)
    assert (await here.ask())[1]["x-watchkeeper-provider"] == "bolt"


async def test_a_storm_of_failures_is_no_storm_of_retries(
    tmp_path: Path, stack: AsyncExitStack
) -> None:
    first = await stack.enter_async_context(crooked_models("500"))
    retries = {"attempts": 5, "budget_percent": 20, "backoff_seconds": 0}
    documents = provider("acme", first.url, retries=retries), model("acme")
    here = await stack.enter_async_context(ground(tmp_path, *documents))
    for _ in range(40):
        assert (await here.ask())[0] == 502
    assert 40 < len(first.heard) <= 48
    assert here.figures("acme").retries == len(first.heard) - 40


async def test_a_silent_provider_is_left_after_its_time(
    tmp_path: Path, stack: AsyncExitStack
) -> None:
    first = await stack.enter_async_context(crooked_models("silent"))
    second = await stack.enter_async_context(crooked_models("well"))
    once = {"attempts": 1}
    documents = (
        provider("acme", first.url, timeout_seconds=1, retries=once),
        provider("bolt", second.url),
        model("acme", "bolt"),
    )
    here = await stack.enter_async_context(ground(tmp_path, *documents))
    status, headers, _ = await here.ask()
    assert (status, headers["x-watchkeeper-provider"]) == (200, "bolt")
    outcome = await here.edge.outcome()
    assert outcome["output_tokens"] == 100 + USAGE["completion_tokens"]


async def test_a_kill_ends_a_call_that_waits_to_be_sent_again(
    tmp_path: Path, stack: AsyncExitStack
) -> None:
    first = await stack.enter_async_context(crooked_models("500"))
    here = await stack.enter_async_context(
        ground(tmp_path, provider("acme", first.url), model("acme"))
    )
    waiting = asyncio.Event()

    async def wait(seconds: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    here.edge.gateways.providers.wait = wait
    call = asyncio.create_task(here.ask())
    await waiting.wait()
    lock = await here.edge.stop_agent()
    status, _, body = await call
    assert status == 403
    assert lock.encode() in body
    assert len(first.heard) == 1
    outcome = await here.edge.outcome()
    assert (outcome["status"], outcome["cost_micros"]) == ("unknown", 0)


async def test_what_the_caller_got_wrong_is_not_asked_of_others(
    tmp_path: Path, stack: AsyncExitStack
) -> None:
    first = await stack.enter_async_context(crooked_models("400"))
    second = await stack.enter_async_context(crooked_models("well"))
    documents = provider("acme", first.url), provider("bolt", second.url), model("acme", "bolt")
    here = await stack.enter_async_context(ground(tmp_path, *documents))
    status, headers, _ = await here.ask()
    assert (status, headers["x-watchkeeper-provider"]) == (400, "acme")
    assert second.heard == []
    assert here.state("acme") == "up"


async def test_each_provider_has_its_own_key(
    tmp_path: Path, stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_KEY", "sk-acme-canary")
    monkeypatch.setenv("BOLT_KEY", "sk-bolt-canary")
    first = await stack.enter_async_context(crooked_models("500"))
    second = await stack.enter_async_context(crooked_models("well"))
    documents = (
        provider("acme", first.url, credential={"from": "env:ACME_KEY", "prefix": "Bearer "}),
        provider("bolt", second.url, credential={"from": "env:BOLT_KEY", "prefix": "Bearer "}),
        model("acme", "bolt"),
    )
    here = await stack.enter_async_context(ground(tmp_path, *documents))
    assert (await here.ask())[0] == 200
    assert set(first.keys) == {"Bearer sk-acme-canary"}
    assert set(second.keys) == {"Bearer sk-bolt-canary"}


async def test_a_caller_that_does_not_read_is_no_fault_of_the_provider(
    tmp_path: Path, stack: AsyncExitStack
) -> None:
    first = await stack.enter_async_context(crooked_models("flood"))
    once = {"attempts": 1}
    documents = provider("acme", first.url, timeout_seconds=1, retries=once), model("acme")
    here = await stack.enter_async_context(ground(tmp_path, *documents))
    body = json.dumps({**ASK, "stream": True}).encode()
    host, _, port = here.edge.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    writer.write(
        b"POST /openai/v1/chat/completions HTTP/1.1\r\nhost: plane\r\nauthorization: Bearer "
        + here.token.encode()
        + b"\r\ncontent-length: %d\r\n\r\n" % len(body)
        + body
    )
    outcome = await here.edge.outcome()
    assert outcome["status"] == "failed"
    assert "did not read" in outcome["error"]
    assert outcome["output_tokens"] > 0
    figures = here.figures("acme")
    assert (figures.calls, figures.errors, figures.in_flight) == (1, 0, 0)
    writer.close()
    assert not reader.at_eof()
