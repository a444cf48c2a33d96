"""The process that reads what exporters send: it may die, and takes nothing with it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from tests.rig.deadline import eventually, eventually_async
from tests.rig.plane import Plane
from tests.rig.world import POLICY, world
from tests.telemetry.said import post, request, span
from watchkeeper.core.errors import Unavailable
from watchkeeper.decide.telemetry.reported import Allowed, Part
from watchkeeper.gateways.otlp import reader as module
from watchkeeper.gateways.otlp.child import SPANS_AT_ONCE
from watchkeeper.gateways.otlp.child import parts as parts_of
from watchkeeper.gateways.otlp.frames import Asked
from watchkeeper.gateways.otlp.reader import Reader

NOW = 1_800_000_000_000_000
ASKED = Asked("traces", False, False, Allowed("clerk", True, "kept", "standard"), NOW)
MANY = 10 * SPANS_AT_ONCE


def spans(count: int, *, padding: int = 0) -> bytes:
    said = "x" * padding
    many = [span("step", number + 1, NOW, said=said) for number in range(count)]
    body: bytes = request(*many).SerializeToString()
    return body


async def read(reader: Reader, body: bytes) -> list[Part]:
    async with aclosing(reader.parts(ASKED, body)) as parts:
        return [part async for part in parts]


@pytest.fixture
async def reader(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Reader]:
    monkeypatch.setattr(module, "_REST_SECONDS", 0.0)
    made = Reader()
    yield made
    await made.close()


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_requests_are_read_in_bounded_parts_each_to_its_own_end(reader: Reader) -> None:
    assert reader.pid is None, "it begins with the first request"
    all_parts = await asyncio.gather(*(read(reader, spans(MANY + n)) for n in range(4)))
    for n, parts in enumerate(all_parts):
        assert [part.end for part in parts] == [False] * (len(parts) - 1) + [True]
        assert sum(one.count for part in parts for one in part.reported) == MANY + n
        assert max(sum(one.count for one in part.reported) for part in parts) <= SPANS_AT_ONCE


def test_whatever_it_stumbles_over_ends_that_request_alone() -> None:
    broken = Asked("traces", False, False, None, NOW)  # type: ignore[arg-type]
    (part,) = parts_of(broken, spans(1))
    assert (part.end, part.refused) == (True, (400, "the body can't be read", ""))


async def test_it_is_begun_anew_once_it_has_died_and_its_requests_are_to_come_again(
    reader: Reader,
) -> None:
    parts = reader.parts(ASKED, spans(20_000, padding=200))
    assert not (await anext(parts)).end
    assert reader.pid is not None
    waiting = asyncio.create_task(read(reader, spans(1)))
    await asyncio.sleep(0)
    first = reader.pid
    os.kill(first, signal.SIGKILL)
    with pytest.raises(Unavailable, match="has ended"):
        [part async for part in parts]
    with pytest.raises(Unavailable):
        await waiting
    assert len(await read(reader, spans(1))) == 1
    assert reader.pid not in (None, first)


async def test_whoever_leaves_holds_up_nobody(reader: Reader) -> None:
    left = reader.parts(ASKED, spans(MANY))
    await anext(left)
    waiting = asyncio.create_task(read(reader, spans(1)))
    await left.aclose()
    assert (await waiting)[-1].end


async def test_one_that_says_nothing_more_is_ended(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    await read(reader, spans(1))
    assert reader.pid is not None
    monkeypatch.setattr(module, "LONGEST_SECONDS", 0.1)
    os.kill(reader.pid, signal.SIGSTOP)
    with pytest.raises(Unavailable, match="has ended"):
        await read(reader, spans(1))


async def test_one_that_has_ended_rests_before_it_is_begun_anew(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    await read(reader, spans(1))
    monkeypatch.setattr(module, "_REST_SECONDS", 3600.0)
    assert reader.pid is not None
    os.kill(reader.pid, signal.SIGKILL)

    async def gone() -> bool:
        return reader.pid is None

    await eventually_async(gone, "its end is noticed")
    with pytest.raises(Unavailable, match="has ended"):
        await read(reader, spans(1))


async def test_it_has_little_of_the_machine(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", "wkcanary")
    await read(reader, spans(1))
    place = Path(f"/proc/{reader.pid}")
    assert b"wkcanary" not in (place / "environ").read_bytes()
    limits = (place / "limits").read_text()
    assert f"Max address space         {1 << 30}" in limits
    assert os.getpriority(os.PRIO_PROCESS, reader.pid or 0) > os.getpriority(os.PRIO_PROCESS, 0)


def test_it_ends_with_its_plane_however_that_ends(tmp_path: Path) -> None:
    plane = Plane(tmp_path, clock="frozen").start()
    try:
        plane.apply(*world(), policy__cedar=POLICY)
        agent = plane.enrol("clerk")
        assert post(plane, agent.credential, spans(0)).status_code == 200
        own = int(plane.described()["pid"])
        (child,) = map(int, Path(f"/proc/{own}/task/{own}/children").read_text().split())
        os.kill(own, signal.SIGKILL)
        eventually(lambda: not is_alive(child), "what read for the plane has ended")
    finally:
        plane.close()
