"""Calls of providers that fail: sent again within bounds, then elsewhere, and paid for once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.gateways.crooked_models import USAGE, WORDS, CrookedModels, crooked_models
from tests.gateways.ground import Edge, open_edge
from tests.rig.deadline import eventually_async
from tests.rig.world import agent_document, world

NOWHERE = "http://127.0.0.1:9/v1"
ASK: dict[str, Any] = {
    "model": "small-fast",
    "messages": [{"role": "user", "content": "hello"}],
    "max_tokens": 100,
}


def provider(name: str, url: str, **more: Any) -> str:
    """A provider of the model `m`."""
    model = {"name": "m", "input_usd_per_million": 1, "output_usd_per_million": 2}
    document = {"name": name, "base_url": url, "models": [model], **more}
    document.setdefault("retries", {"attempts": 2, "budget_percent": 100, "backoff_seconds": 1})
    return json.dumps({"provider": document})


def model(*providers: str) -> str:
    targets = [{"provider": name, "model": "m"} for name in providers]
    return json.dumps({"model": {"name": "small-fast", "targets": targets}})


@dataclass
class Ground:
    """Gateways over crooked providers; what retries wait for is written down, not waited."""

    edge: Edge
    token: str
    waited: list[float] = field(default_factory=list)

    async def ask(self, **more: Any) -> tuple[int, dict[str, str], bytes]:
        """Call the model; return status, headers and body."""
        try:
            async with self.edge.http.post(
                f"{self.edge.url}/openai/v1/chat/completions",
                json={**ASK, **more},
                headers={"authorization": f"Bearer {self.token}"},
            ) as answer:
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return answer.status, headers, await answer.read()
        except aiohttp.ClientPayloadError as error:
            raise AssertionError("the plane broke its own answer off") from error

    async def outcomes(self, count: int = 1) -> list[dict[str, Any]]:
        """Return the outcomes on record, once there are so many."""

        async def found() -> list[dict[str, Any]] | None:
            recorded = await self.edge.events("outcome.recorded")
            return recorded if len(recorded) >= count else None

        return await eventually_async(found, "outcomes")

    def figures(self, name: str) -> Any:
        now = self.edge.store.clock.now()
        return self.edge.decider.statistics.figures(name, None, now)

    def state(self, name: str) -> str:
        return self.edge.decider.statistics.health(name).state


@asynccontextmanager
async def ground(
    directory: Path, *documents: str, budgets: dict[str, float] | None = None
) -> AsyncIterator[Ground]:
    agent = agent_document(budgets=budgets)
    async with open_edge(directory, *world(agent=agent)[:-1], *documents) as edge:
        made = Ground(edge, await edge.open_run())

        async def wait(seconds: float) -> None:
            made.waited.append(seconds)

        edge.gateways.providers.wait = wait
        yield made


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


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
    (outcome,) = await here.outcomes()
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
    (outcome,) = await here.outcomes()
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
    (outcome,) = await here.outcomes()
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


async def test_nothing_is_sent_again_once_a_byte_was_passed_on(
    tmp_path: Path, stack: AsyncExitStack
) -> None:
    first = await stack.enter_async_context(crooked_models("cut"))
    second = await stack.enter_async_context(crooked_models("well"))
    documents = provider("acme", first.url), provider("bolt", second.url), model("acme", "bolt")
    here = await stack.enter_async_context(ground(tmp_path, *documents))
    status, _, body = await here.ask(stream=True)
    assert status == 200
    assert b"two " in body
    assert b"three " not in body
    assert b"provider acme" in body
    assert (len(first.heard), len(second.heard)) == (1, 0)
    (outcome,) = await here.outcomes()
    assert outcome["status"] == "failed"
    assert outcome["output_tokens"] == len("one two ")


@pytest.mark.parametrize("word", ["cut-at-once", "hang-up", "504"])
async def test_what_may_have_been_billed_counts_at_its_bound(
    tmp_path: Path, stack: AsyncExitStack, word: str
) -> None:
    first = await stack.enter_async_context(crooked_models(word, "well"))
    documents = provider("acme", first.url), model("acme")
    here = await stack.enter_async_context(ground(tmp_path, *documents))
    status, headers, body = await here.ask(stream=True)
    assert (status, headers["x-watchkeeper-retries"]) == (200, "1")
    assert b"three " in body
    (outcome,) = await here.outcomes()
    assert (outcome["status"], outcome["retries"]) == ("succeeded", 1)
    assert outcome["output_tokens"] == 100 + USAGE["completion_tokens"]
    assert outcome["input_tokens"] > USAGE["prompt_tokens"] + len("hello")
    assert "estimate" in outcome["error"]


async def test_an_error_that_a_stream_begins_with_is_a_failure_like_others(
    tmp_path: Path, stack: AsyncExitStack
) -> None:
    first = await stack.enter_async_context(crooked_models("error-event", "well"))
    here = await stack.enter_async_context(
        ground(tmp_path, provider("acme", first.url), model("acme"))
    )
    status, _, body = await here.ask(stream=True)
    assert status == 200
    assert b"overloaded" not in body
    assert b"three " in body
    (outcome,) = await here.outcomes()
    assert outcome["output_tokens"] == USAGE["completion_tokens"]


async def test_an_error_within_a_stream_passes_and_counts_for_the_provider(
    tmp_path: Path, stack: AsyncExitStack
) -> None:
    first = await stack.enter_async_context(crooked_models("error-late"))
    here = await stack.enter_async_context(
        ground(tmp_path, provider("acme", first.url), model("acme"))
    )
    status, _, body = await here.ask(stream=True)
    assert status == 200
    assert b"three " in body
    assert b"overloaded" in body
    (outcome,) = await here.outcomes()
    assert outcome["status"] == "failed"
    assert outcome["output_tokens"] == len("".join(WORDS))
    assert (here.figures("acme").errors, len(first.heard)) == (1, 1)


async def test_without_room_for_another_sending_there_is_none(
    tmp_path: Path, stack: AsyncExitStack
) -> None:
    first = await stack.enter_async_context(crooked_models("hang-up", "well"))
    documents = provider("acme", first.url), model("acme")
    budgets = {"max_output_tokens": 150.0}
    here = await stack.enter_async_context(ground(tmp_path, *documents, budgets=budgets))
    status, _, body = await here.ask()
    assert status == 502
    assert b"the budgets have no room" in body
    assert len(first.heard) == 1
    (outcome,) = await here.outcomes()
    assert outcome["output_tokens"] == 100
    # what is left is what was not counted
    assert (await here.ask())[0] == 200
    assert first.heard[-1]["max_tokens"] == 50


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
    (outcome,) = await here.outcomes()
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
    (outcome,) = await here.outcomes()
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
    first: CrookedModels = await stack.enter_async_context(crooked_models("500"))
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


async def test_a_call_is_settled_at_the_price_that_it_was_held_at(
    tmp_path: Path, stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await stack.enter_async_context(crooked_models("500", "well"))
    here = await stack.enter_async_context(
        ground(tmp_path, provider("acme", first.url), model("acme"))
    )
    dear = {"name": "m", "input_usd_per_million": 500, "output_usd_per_million": 500}
    decide = here.edge.decider.decide

    async def decide_then_apply(*given: Any, **more: Any) -> Any:
        decided = await decide(*given, **more)
        await here.edge.apply(provider("acme", first.url, models=[dear]))
        return decided

    monkeypatch.setattr(here.edge.decider, "decide", decide_then_apply)
    assert (await here.ask())[0] == 200
    (outcome,) = await here.outcomes()
    assert outcome["cost_micros"] == 5 * 1 + 3 * 2
    monkeypatch.undo()
    assert (await here.ask())[0] == 200
    (_, outcome) = await here.outcomes(2)
    assert outcome["cost_micros"] == 8 * 500


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
    (outcome,) = await here.outcomes()
    assert outcome["status"] == "failed"
    assert "did not read" in outcome["error"]
    assert outcome["output_tokens"] > 0
    figures = here.figures("acme")
    assert (figures.calls, figures.errors, figures.in_flight) == (1, 0, 0)
    writer.close()
    assert not reader.at_eof()
