"""Keeping what passed the gateways, beside the calls: a queue that is full loses, and counts it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import msgspec

from watchkeeper.core.digest import canonical, parse
from watchkeeper.core.errors import Invalid, WatchkeeperError
from watchkeeper.decide.catalogue import CatalogueView
from watchkeeper.store.store import Store
from watchkeeper.tools.inspection.model import TooLarge
from watchkeeper.tools.inspection.redaction import redact
from watchkeeper.tools.inspection.rules import Classes, unrecorded
from watchkeeper.tools.inspection.values import inspect
from watchkeeper.traces import contents
from watchkeeper.traces.contents import Content
from watchkeeper.wire.traces import ContentPart

_LOG = logging.getLogger("watchkeeper.gateways.recording")
MOST_WAITING = 2_000
MOST_BYTES = 32 * 1024 * 1024
LARGEST_KEPT = 256 * 1024
"""Bytes of one part; of a larger one the digest is kept."""
_AT_ONCE = 64
_GATHER_SECONDS = 0.25
"""How long parts are gathered before they are written: a write costs more than what is in it."""
Keeps = Literal["all", "digests", "nothing"]
WordsOf = Callable[[bytes], str | None]
"""Returns the words of a streamed answer; None where it has others than words."""


class _Waiting(NamedTuple):
    key: str
    part: ContentPart
    run: str
    agent: str
    at: int
    data: bytes
    words_of: WordsOf | None
    keeps: Keeps
    unwanted: Classes


class Recording:
    """Takes what passes, and writes it in small batches as there is time."""

    def __init__(self, store: Store, view: CatalogueView) -> None:
        self._store = store
        self._view = view
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._end = asyncio.Event()
        self._taken = self._done = 0
        self._wrote = asyncio.Event()
        self.lost = 0
        """How many parts were lost since the plane started: the queue was full, or the store."""

    def keeps(self, agent: str, *, model: bool) -> Keeps:
        """Say how much of an agent's calls is kept."""
        governed = self._view.now.agents.get(agent)
        if governed is None or governed.contract.logging.trace_level == "off":
            return "nothing"
        logging_ = governed.contract.logging
        if logging_.trace_level == "metadata" or (model and logging_.zero_retention):
            return "digests"
        return "all"

    def take(
        self,
        key: str,
        part: ContentPart,
        *,
        run: str,
        agent: str,
        data: bytes,
        model: bool,
        words_of: WordsOf | None = None,
    ) -> None:
        """Have one part of an action kept; never waits. `words_of` reads a streamed one."""
        keeps = self.keeps(agent, model=model)
        if keeps == "nothing":
            return
        if len(self._waiting) >= MOST_WAITING or self._bytes + len(data) > MOST_BYTES:
            self.lost += 1
            return
        level = self._view.now.redaction_of(agent)
        self._waiting.append(
            _Waiting(
                key, part, run, agent, self._store.clock.now(), data, words_of, keeps,
                unrecorded(level),
            )
        )  # fmt: skip
        self._bytes += len(data)
        self._taken += 1
        self._more.set()

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.get_running_loop().create_task(self._write(), name="recording")

    async def settle(self) -> None:
        """Return once what was taken by now is written, or lost."""
        taken = self._taken
        while self._done < taken and self._task is not None:
            self._wrote.clear()
            await self._wrote.wait()

    async def stop(self) -> None:
        """Write what waits, and end."""
        if self._task is None:
            return
        self._end.set()
        self._more.set()
        await self._task
        self._task = None

    async def _write(self) -> None:
        while not self._end.is_set():
            await self._more.wait()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._end.wait(), _GATHER_SECONDS)
            self._more.clear()
            while self._waiting:
                await self._write_some()

    async def _write_some(self) -> None:
        count = min(_AT_ONCE, len(self._waiting))
        batch = [self._waiting.popleft() for _ in range(count)]
        self._bytes -= sum(len(one.data) for one in batch)
        try:
            shaped = await asyncio.to_thread(lambda: [_shape(one) for one in batch])
            await self._store.write(lambda tx: contents.keep(tx, shaped))
        except WatchkeeperError as error:
            self.lost += count
            _LOG.warning("what %d calls said is lost: %s", count, error)
        except Exception:
            self.lost += count
            _LOG.exception("what %d calls said is lost", count)
        finally:
            self._done += count
            self._wrote.set()


def _shape(one: _Waiting) -> Content:
    text, why, kind = None, None, "json"
    if one.keeps == "digests":
        why = "the contract keeps digests only"
    elif len(one.data) > LARGEST_KEPT:
        why = f"larger than {LARGEST_KEPT:,} bytes"
    else:
        try:
            text, kind = _kept(one)
        except (Invalid, TooLarge, ValueError, RecursionError):
            why = "not to be read, so nobody knows what is in it"
    digest = f"sha256:{hashlib.sha256(one.data).hexdigest()}"
    return Content(
        one.key, one.part, one.run, one.agent, one.at, kind, text, digest, len(one.data), why
    )


def _kept(one: _Waiting) -> tuple[str, str]:
    """Return what is kept of it and its kind; raise where it can't be told what is in it."""
    if one.words_of is None:
        return kept_body(one.data, one.unwanted), "json"
    if (words := one.words_of(one.data)) is not None:
        return str(redact(words, one.unwanted)), "text"
    events = _events(one.data)
    # what is told apart in the whole may be in pieces that say nothing each
    if not inspect("".join(_texts(events))).classes.isdisjoint(one.unwanted):
        raise Invalid("it holds what is not kept, in pieces")
    return canonical(redact(events, one.unwanted)).decode(), "json"


def kept_body(data: bytes, unwanted: Classes) -> str:
    """Return a body as it is kept; raise where it can't be told what is in it."""
    return canonical(redact(parse(data), unwanted)).decode()


def _events(data: bytes) -> list[Any]:
    lines = (line.removeprefix(b"data:").strip() for line in data.splitlines()
             if line.startswith(b"data:"))  # fmt: skip
    return [msgspec.json.decode(line) for line in lines if line.startswith(b"{")]


def _texts(value: Any) -> list[str]:
    """Return every text in a value, in order, however deep."""
    found: list[str] = []
    ahead = [value]
    while ahead:
        one = ahead.pop()
        if isinstance(one, str):
            found.append(one)
        elif isinstance(one, dict):
            ahead += reversed(one.values())
        elif isinstance(one, list):
            ahead += reversed(one)
    return found
