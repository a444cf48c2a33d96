"""Gateways, upstreams and providers that run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.gateways.ground import Edge, open_edge
from tests.rig.provider import Provider
from tests.rig.upstream import Upstream
from tests.rig.world import agent_document, upstream_document, world


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    """An upstream over HTTP, shared by a file: starting one costs two seconds."""
    server = Upstream(tmp_path_factory.mktemp("books"), credential="Bearer s3cr3t-canary").start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def model_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """A provider, shared by a file."""
    server = Provider(tmp_path_factory.mktemp("provider")).start()
    yield server
    server.stop()


@pytest.fixture
async def edge(
    tmp_path: Path, books: Upstream, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Edge]:
    """Gateways over the shared upstream; held calls wait up to 20 seconds."""
    monkeypatch.setenv("BOOKS_TOKEN", "s3cr3t-canary")
    documents = world(
        upstream=upstream_document(url=books.url, credential="env:BOOKS_TOKEN"),
        agent=agent_document(hold_seconds=20),
    )
    async with open_edge(tmp_path, *documents) as opened:
        await opened.upstream_up()
        yield opened


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """Closes what a test opens."""
    async with AsyncExitStack() as opened:
        yield opened
