"""How many calls of one agent are under way at a time."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.gateways.bare import STREAM, bare, events
from tests.gateways.failing import ground, model, provider
from tests.rig.deadline import eventually_async
from watchkeeper.gateways.model import turns
from watchkeeper.gateways.model.errors import ModelError
from watchkeeper.gateways.model.turns import MOST_AT_ONCE, Turns


def test_one_agents_calls_leave_the_others_theirs() -> None:
    held = Turns()
    taken = [held.take("clerk") for _ in range(MOST_AT_ONCE)]
    for turn in taken:
        turn.__enter__()
    with pytest.raises(ModelError) as refused, held.take("clerk"):
        raise AssertionError("one too many is served")
    assert (refused.value.status, refused.value.retry) == (429, True)
    with held.take("teller"):
        pass
    taken.pop().__exit__(None, None, None)
    with held.take("clerk"):
        pass


async def test_a_stream_that_never_ends_keeps_its_turn_until_its_caller_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "MOST_AT_ONCE", 2)
    begun = STREAM + events({"choices": [{"index": 0, "delta": {"content": "hi"}}]})
    async with (
        bare(begun) as url,
        ground(tmp_path, provider("acme", url), model("acme")) as here,
    ):
        hogs = [asyncio.create_task(here.ask(stream=True)) for _ in range(2)]

        async def refused() -> bytes | None:
            asked = asyncio.create_task(here.ask(stream=True))
            done, _ = await asyncio.wait({asked}, timeout=0.2)
            if done:
                status, headers, body = asked.result()
                assert (status, headers["x-should-retry"]) == (429, "true")
                return body
            asked.cancel()
            return None

        error = json.loads(await eventually_async(refused, "one call too many"))["error"]
        assert error["rule"] == "gateway/at-once"
        assert "clerk has 2 model calls under way" in error["message"]
        for hog in hogs:
            hog.cancel()
        await asyncio.gather(*hogs, return_exceptions=True)

        async def served() -> bool:
            return await refused() is None

        await eventually_async(served, "the turns of callers that went are free")
