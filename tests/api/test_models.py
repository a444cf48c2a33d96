"""Providers and models as people see them: figures, prices, and teams apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.rig.caller import Caller
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.provider import Provider
from tests.rig.world import POLICY, agent_document, world

PEOPLE = "person: {name: grace, operates: [{role: viewer, teams: [sales]}]}"
ASK = {"model": "small-fast", "messages": [{"role": "user", "content": "one two"}]}
COST = 14
"""Of one such call, in micro-dollars: two tokens in, eight out."""


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Provider]:
    """A provider that behaves until told otherwise."""
    server = Provider(tmp_path / "provider").start()
    yield server
    server.stop()


def call(plane: Plane, agent: str, **more: Any) -> httpx.Response:
    """Call a model in a run of an agent."""
    token = plane.enrol(agent).open_run().token
    return httpx.post(
        f"{plane.url}/openai/v1/chat/completions",
        json={**ASK, "max_tokens": 8, **more},
        headers={"authorization": f"Bearer {token}"},
        timeout=30,
    )


def viewer(plane: Plane, name: str) -> Caller:
    asked = {"person": name, "permission": "viewer"}
    return plane.caller(plane.operator.post("/v1/persons/tokens", asked)["token"])


def spent(plane: Plane, calls: int) -> Any:
    """The provider's row once it has been paid for so many calls."""
    (row,) = plane.operator.get("/v1/providers")["rows"]
    return row if row["spend_today_micros"] == calls * COST else None


def test_calls_show_at_their_provider_and_model(plane: Plane, provider: Provider) -> None:
    documents = world(agent_document("seller", owner="sales"), provider_url=provider.url)
    plane.apply(*documents, PEOPLE, policy__cedar=POLICY)
    assert call(plane, "clerk").status_code == 200
    assert call(plane, "seller").status_code == 200
    assert call(plane, "seller").status_code == 200
    row = eventually(lambda: spent(plane, 3), "three calls are settled")
    assert (row["name"], row["state"], row["calls"], row["errors"]) == ("local", "up", 3, 0)
    assert row["latency_p95_ms"] >= 1
    assert row["in_flight"] == 0
    (priced,) = row["models"]
    assert (priced["input_micros"], priced["price_source"]) == (400_000, "document")
    (model,) = plane.operator.get("/v1/models")["rows"]
    assert (model["name"], model["calls_today"]) == ("small-fast", 3)
    assert model["agents"] == ["clerk", "seller"]
    assert model["spend_today_micros"] == 3 * COST
    limited = viewer(plane, "grace")
    seen = limited.get("/v1/models/small-fast")
    assert (seen["calls_today"], seen["agents"]) == (2, ["seller"])
    (row,) = limited.get("/v1/providers")["rows"]
    assert (row["calls"], row["state"]) == (2, "up")
    assert row["spend_today_micros"] == seen["spend_today_micros"] == 2 * COST


def test_today_ends_at_midnight(plane: Plane, provider: Provider) -> None:
    plane.apply(*world(provider_url=provider.url), policy__cedar=POLICY)
    assert call(plane, "clerk").status_code == 200
    plane.advance(86_400)
    (model,) = plane.operator.get("/v1/models")["rows"]
    assert (model["calls_today"], model["spend_today_micros"]) == (0, 0)


def test_there_is_no_model_that_no_document_names(plane: Plane) -> None:
    problem = plane.operator.problem("GET", "/v1/models/nope", status=404)
    assert problem["remedy"] == "see `watchkeeper models list`"


def test_known_prices_are_searched(plane: Plane) -> None:
    found = plane.operator.get("/v1/prices", filter="anthropic sonnet-4-5", limit=1)
    assert len(found["rows"]) == 1
    assert found["total"] > 1
    (row,) = found["rows"]
    assert (row["provider"], row["input_micros"]) == ("anthropic", 3_000_000)
    assert row["tiers"][0]["above_input_tokens"] == 200_000
    assert plane.operator.get("/v1/prices", filter="no such")["rows"] == []
