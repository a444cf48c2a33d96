"""The feed against a real HTTP server that plays a plane's good and bad days."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from aiohttp import web

from watchkeeper.client.address import Address
from watchkeeper.client.api import PlaneClient
from watchkeeper.client.feed import LONGEST_RETRY_SECONDS, Connection, Events, Feed, Item, Resync
from watchkeeper.core.errors import Conflict, Unavailable, WatchkeeperError
from watchkeeper.wire.requests import Vote

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[Address]:
    """Answer every path with `handler` on a free port of this machine."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield Address(url=f"http://{host}:{port}")
    finally:
        await runner.cleanup()


def event(sequence: int) -> dict[str, object]:
    """One compact entry as the stream carries it."""
    return {
        "sequence": sequence,
        "at": sequence,
        "type": "run.opened",
        "actor": "agent/a",
        "subject": "run/1",
        "text": "opened",
    }


def batch(*sequences: int) -> bytes:
    """A message with these entries."""
    data = json.dumps([event(sequence) for sequence in sequences])
    return f"id: {sequences[-1]}\ndata: {data}\n\n".encode()


async def collect(feed: Feed, until: Callable[[list[Item]], bool]) -> list[Item]:
    """Follow until `until` holds, and return what came."""
    items: list[Item] = []
    async for item in feed.follow():
        items.append(item)
        if until(items):
            break
    return items


class Story:
    """Answers connection n with the n-th of `scenes`, then ends it."""

    def __init__(self, *scenes: bytes | int) -> None:
        self.scenes = scenes
        self.asked: list[str] = []

    async def play(self, request: web.Request) -> web.StreamResponse:
        """Serve the next scene."""
        scene = self.scenes[min(len(self.asked), len(self.scenes) - 1)]
        self.asked.append(request.headers["last-event-id"])
        if isinstance(scene, int):
            return web.json_response({"code": "x", "message": "no", "status": scene}, status=scene)
        answer = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await answer.prepare(request)
        await answer.write(scene)
        return answer


async def no_pause(_seconds: float) -> None:
    """Reconnect at once."""


@pytest.mark.asyncio
async def test_resumes_after_the_last_entry_and_shows_none_twice() -> None:
    """A broken stream goes on where it was; an overlap is passed over."""
    story = Story(batch(4, 5), batch(5, 6))
    async with serving(story.play) as address:
        feed = Feed(address, after=3, sleep=no_pause)
        items = await collect(feed, lambda items: feed.sequence == 6)
    seen = [e.sequence for item in items if isinstance(item, Events) for e in item.events]
    assert seen == [4, 5, 6]
    assert story.asked[:2] == ["3", "5"]
    states = [item.state for item in items if isinstance(item, Connection)]
    assert states == ["live", "lost", "live"]


@pytest.mark.asyncio
async def test_resync_moves_on_without_the_missed_entries() -> None:
    """Too far behind: one resync, and the sequence jumps."""
    story = Story(b"event: resync\nid: 900\ndata: {}\n\n" + batch(901))
    async with serving(story.play) as address:
        feed = Feed(address, after=3, sleep=no_pause)
        items = await collect(feed, lambda items: feed.sequence == 901)
    assert Resync(900) in items


@pytest.mark.asyncio
async def test_pauses_grow_to_a_bound() -> None:
    """A plane that stays away is asked ever less often, never never."""
    pauses: list[float] = []

    async def note(seconds: float) -> None:
        pauses.append(seconds)

    class Half:
        def fraction(self) -> float:
            return 0.5

    feed = Feed(Address(url="http://127.0.0.1:1"), after=0, sleep=note, chance=Half())
    items = await collect(feed, lambda items: len(items) == 8)
    last = items[-1]
    assert isinstance(last, Connection)
    assert isinstance(last.error, Unavailable)
    assert last.attempt == 8
    assert all(earlier <= later for earlier, later in pairwise(pauses))
    assert pauses[0] < 2 <= pauses[-1] <= LONGEST_RETRY_SECONDS


@pytest.mark.asyncio
async def test_a_refused_token_is_not_tried_again() -> None:
    """401 ends the feed: another try would not help."""
    story = Story(401)
    async with serving(story.play) as address:
        items = await collect(Feed(address, after=0, sleep=no_pause), lambda items: False)
    assert [item.state for item in items if isinstance(item, Connection)] == ["refused"]
    assert len(story.asked) == 1


@pytest.mark.asyncio
async def test_a_problem_becomes_the_error_it_names() -> None:
    """Code, rule and remedy of a refused request reach the caller."""

    async def refuse(_request: web.Request) -> web.StreamResponse:
        return web.json_response(
            {
                "code": "already_decided",
                "message": "person/ada approved it at 12:04",
                "rule": "approval/req_1",
                "remedy": "nothing to do",
                "status": 409,
            },
            status=409,
            content_type="application/problem+json",
        )

    async with serving(refuse) as address, PlaneClient(address) as client:
        with pytest.raises(Conflict) as caught:
            await client.vote("req_1", Vote(verdict="approve", digest="sha256:00"))
    assert caught.value.code == "already_decided"
    assert caught.value.rule == "approval/req_1"
    assert caught.value.remedy == "nothing to do"


@pytest.mark.asyncio
async def test_an_answer_of_another_kind_is_named_not_trusted() -> None:
    """An answer that does not fit its model is an error that says so."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"surprise": True})

    async with serving(answer) as address, PlaneClient(address) as client:
        with pytest.raises(WatchkeeperError, match="no Status") as caught:
            await client.status()
    assert caught.value.code == "answer_not_understood"


@pytest.mark.asyncio
async def test_an_absent_plane_is_unavailable_with_a_remedy() -> None:
    """Nobody listening: say so, and what to do."""
    async with PlaneClient(Address(url="http://127.0.0.1:1")) as client:
        with pytest.raises(Unavailable) as caught:
            await client.status()
    assert caught.value.remedy
