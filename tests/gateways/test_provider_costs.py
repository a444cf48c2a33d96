"""What calls of providers that fail cost: what may have been billed counts, and only once."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.gateways.crooked_models import USAGE, WORDS, crooked_models
from tests.gateways.failing import ground, model, provider


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
    outcome = await here.edge.outcome()
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
    outcome = await here.edge.outcome()
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
    outcome = await here.edge.outcome()
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
    outcome = await here.edge.outcome()
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
    outcome = await here.edge.outcome()
    assert outcome["output_tokens"] == 100
    # what is left is what was not counted
    assert (await here.ask())[0] == 200
    assert first.heard[-1]["max_tokens"] == 50


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
    outcome = await here.edge.outcome()
    assert outcome["cost_micros"] == 5 * 1 + 3 * 2
    monkeypatch.undo()
    assert (await here.ask())[0] == 200
    (_, outcome) = await here.edge.outcomes(2)
    assert outcome["cost_micros"] == 8 * 500
