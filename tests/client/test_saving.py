"""What is written of a plane is whole or not there, and never over another file."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from watchkeeper.client.saving import free_place, save
from watchkeeper.core.errors import Invalid

PIECE = b"x" * 300_000


async def parts(count: int, fails: Exception | None = None) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield PIECE
    if fails is not None:
        raise fails


async def test_a_file_is_written_in_full_for_its_owner_alone(tmp_path: Path) -> None:
    told: list[int] = []
    place = tmp_path / "bundle.tar"
    size = await save(parts(10), place, told.append)
    assert place.read_bytes() == PIECE * 10
    assert place.stat().st_mode & 0o777 == 0o600
    assert (size, told[-1], told) == (3_000_000, 3_000_000, sorted(told))
    assert [one.name for one in tmp_path.iterdir()] == ["bundle.tar"]


async def test_what_is_cut_off_leaves_nothing(tmp_path: Path) -> None:
    place = tmp_path / "bundle.tar"
    with pytest.raises(Invalid, match="gone"):
        await save(parts(5, Invalid("gone")), place)
    assert not list(tmp_path.iterdir())

    begun = asyncio.Event()

    async def never() -> AsyncIterator[bytes]:
        yield PIECE
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.ensure_future(save(never(), place))
    await begun.wait()
    assert [one.name for one in tmp_path.iterdir()] == ["bundle.tar.new"]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["/", ".", "", "n" * 5000, "n" * 253, "a\0b", "/nowhere/a"])
async def test_what_names_no_file_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Invalid):
        await save(parts(1), Path(name))
    assert not list(tmp_path.iterdir())


async def test_no_other_file_is_written_over(tmp_path: Path) -> None:
    place = tmp_path / "bundle.tar"
    place.write_text("mine")
    with pytest.raises(Invalid, match="there already"):
        await save(parts(1), place)
    place.unlink()

    async def somebody_is_quicker() -> AsyncIterator[bytes]:
        yield PIECE
        place.write_text("theirs")

    with pytest.raises(Invalid, match="there already"):
        await save(somebody_is_quicker(), place)
    assert place.read_text() == "theirs"
    (tmp_path / "other.tar.new").write_text("half")
    with pytest.raises(Invalid, match="somebody writes it now"):
        await save(parts(1), tmp_path / "other.tar")
    assert (tmp_path / "other.tar.new").read_text() == "half"


async def test_a_file_system_without_links_does_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    await save(parts(1), tmp_path / "bundle.tar")
    assert (tmp_path / "bundle.tar").read_bytes() == PIECE
    assert len(list(tmp_path.iterdir())) == 1


async def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="cannot be written") as caught:
        await save(parts(1), tmp_path / "nowhere" / "bundle.tar")
    assert "nowhere" in str(caught.value)


def test_a_place_that_is_taken_is_not_offered(tmp_path: Path) -> None:
    assert free_place(tmp_path, "a", "tar").name == "a.tar"
    (tmp_path / "a.tar").touch()
    (tmp_path / "a-2.tar").touch()
    assert free_place(tmp_path, "a", "tar").name == "a-3.tar"
