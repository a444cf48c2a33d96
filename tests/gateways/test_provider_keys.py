"""A real plane over two providers whose keys are sealed: each is given its own, and fails over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.provider import Provider
from tests.rig.world import POLICY, world

ASK = {"model": "small-fast", "max_tokens": 4, "messages": [{"role": "user", "content": "a b"}]}


@pytest.fixture
def providers(tmp_path: Path) -> Iterator[tuple[Provider, Provider]]:
    """Two providers."""
    started = Provider(tmp_path / "first").start(), Provider(tmp_path / "second").start()
    yield started
    for one in started:
        one.stop()


def documents(first: Provider, second: Provider) -> list[str]:
    found: list[dict[str, Any]] = []
    for name, server in (("first", first), ("second", second)):
        priced = {"name": "small-1", "input_usd_per_million": 1, "output_usd_per_million": 1}
        found.append(
            {
                "provider": {
                    "name": name,
                    "base_url": server.url,
                    "credential": {"from": f"sealed:{name}"},
                    "retries": {"attempts": 1},
                    "models": [priced],
                }
            }
        )
    targets = [{"provider": name, "model": "small-1"} for name in ("first", "second")]
    found.append({"model": {"name": "small-fast", "targets": targets}})
    return [json.dumps(one) for one in found]


def test_each_provider_is_given_its_own_key_and_the_next_one_answers(
    plane: Plane, providers: tuple[Provider, Provider]
) -> None:
    first, second = providers
    plane.apply(*world()[:-1], *documents(first, second), policy__cedar=POLICY)
    run = plane.enrol("clerk").open_run()

    def ask(status: int = 200) -> httpx.Response:
        answer = httpx.post(
            f"{plane.url}/openai/v1/chat/completions",
            json=ASK,
            headers={"authorization": f"Bearer {run.token}"},
            timeout=30,
        )
        assert answer.status_code == status, answer.text
        return answer

    # no key is sealed yet: nobody can be called, and no key is guessed
    refused = ask(502)
    assert "credential" in refused.text
    assert first.requests() == second.requests() == []
    for name in ("first", "second"):
        plane.operator.post(f"/v1/secrets/{name}", {"value": f"sk-{name}-canary"})
    assert eventually(lambda: ask().headers["x-watchkeeper-provider"], "an answer")
    second_only = {"status": 500, "message": "sk-first-canary"}
    first.wish(**second_only)
    answer = eventually(
        lambda: answer if (answer := ask()).headers["x-watchkeeper-provider"] == "second" else None,
        "the second answers",
    )
    assert answer.headers["x-watchkeeper-retries"] in ("0", "1")
    assert {one["authorization"] for one in first.requests()} == {"Bearer sk-first-canary"}
    assert {one["authorization"] for one in second.requests()} == {"Bearer sk-second-canary"}
    assert "canary" not in plane.output
    told = json.dumps([plane.operator.get("/v1/providers"), plane.events()])
    assert "canary" not in told


def test_a_provider_that_comes_back_is_up_again(
    plane: Plane, providers: tuple[Provider, Provider]
) -> None:
    first, second = providers
    plane.apply(*world()[:-1], *documents(first, second), policy__cedar=POLICY)
    for name in ("first", "second"):
        plane.operator.post(f"/v1/secrets/{name}", {"value": f"sk-{name}-canary"})
    run = plane.enrol("clerk").open_run()

    def provider() -> str:
        answer = httpx.post(
            f"{plane.url}/openai/v1/chat/completions",
            json=ASK,
            headers={"authorization": f"Bearer {run.token}"},
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        return str(answer.headers["x-watchkeeper-provider"])

    def row() -> dict[str, Any]:
        rows = plane.operator.get("/v1/providers")["rows"]
        return next(one for one in rows if one["name"] == "first")

    assert provider() == "first"
    first.stop()
    assert [provider() for _ in range(4)] == ["second"] * 4
    down = row()
    assert (down["state"], down["calls"], down["fallbacks"]) == ("down", 3, 2)
    first.start()
    assert provider() == "second", "what is down is tried last"
    plane.advance(10)
    assert provider() == "first"
    assert row()["state"] == "up"
    changes = [one["type"] for one in plane.events() if "upstream" in one["type"]]
    assert len(changes) >= 2
