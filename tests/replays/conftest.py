"""A plane with recorded runs, and what they were recorded with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.replays.ground import REFUND, recorded
from tests.rig.agent import Agent
from tests.rig.plane import Plane
from tests.rig.provider import Provider
from tests.rig.upstream import Upstream
from tests.rig.world import POLICY, agent_document, upstream_document, world

DEFAULT, MORE = "{default: small-fast}", "{default: small-fast, allowed: [claude]}"


CLAUDE = """
provider:
  name: claudes
  protocol: anthropic
  base_url: %s
  models: [{name: claude-1, input_usd_per_million: 1, output_usd_per_million: 5,
            context_window: 200000}]
---
model: {name: claude, provider: claudes, provider_model: claude-1}
"""


PEOPLE = """
operator_role: {name: rewinder, permissions: [read, replay]}
---
person: {name: vera, operates: [{role: viewer}]}
---
person: {name: rita, operates: [{role: viewer}, {role: rewinder, teams: [finance-ops]}]}
"""


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    running = Upstream(tmp_path_factory.mktemp("books")).start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    running = Provider(tmp_path_factory.mktemp("provider")).start()
    running.wish(call={"name": "books_create_refund", "arguments": REFUND, "until": "re_"})
    yield running
    running.stop()


@pytest.fixture(scope="module")
def plane(
    tmp_path_factory: pytest.TempPathFactory, provider: Provider, books: Upstream
) -> Iterator[Plane]:
    running = Plane(tmp_path_factory.mktemp("played")).start()
    try:
        books_document = upstream_document(url=books.url)
        documents = world(
            agent_document("seller", owner="sales"),
            agent_document("watched").rstrip() + "\n  health: {expect_every_seconds: 60}\n",
            agent_document("private").rstrip() + "\n  logging: {trace_level: metadata}\n",
            CLAUDE % provider.url.removesuffix("/v1"),
            PEOPLE,
            upstream=books_document,
            provider_url=provider.url,
            agent=agent_document().replace(DEFAULT, MORE),
        )
        running.apply(*documents, policy__cedar=POLICY)
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def clerk(plane: Plane) -> Agent:
    return plane.enrol("clerk")


@pytest.fixture(scope="module")
def run(plane: Plane, clerk: Agent) -> tuple[str, list[str]]:
    return recorded(plane, clerk)
