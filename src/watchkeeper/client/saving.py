"""Files that people take away from a plane: whole or not there, never over another."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path

from watchkeeper.core.errors import Invalid

_PIECE = 1 << 20


async def save(
    parts: AsyncIterator[bytes], place: Path, told: Callable[[int], None] = lambda size: None
) -> int:
    """Write parts to a new file that only its owner reads; return its bytes.

    Until it is whole it stands beside its place, under a name that ends in `.new`; what was
    begun is taken away again. `told` hears how many bytes there are. Raises `Invalid` if it
    cannot be written, or if there is a file already.
    """
    try:
        fresh = place.with_name(f"{place.name}.new")
        if place.exists():
            raise _taken(place)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Invalid(
            "somebody writes it now, or was cut off while they did",
            where=str(fresh),
            remedy="name another file, or take that one away",
        ) from None
    except OSError as error:
        raise _unwritten(place, error) from None
    except ValueError:
        raise Invalid("that names no file", where=str(place), remedy="name a file") from None
    try:
        size = await _write(parts, descriptor, told)
        _give_place(fresh, place)
    except OSError as error:
        raise _unwritten(place, error) from None
    finally:
        fresh.unlink(missing_ok=True)
    return size


async def _write(parts: AsyncIterator[bytes], descriptor: int, told: Callable[[int], None]) -> int:
    size = 0
    held = bytearray()
    with os.fdopen(descriptor, "wb") as file:
        async for part in parts:
            held += part
            size += len(part)
            if len(held) >= _PIECE:
                await asyncio.to_thread(file.write, bytes(held))
                held.clear()
                told(size)
        await asyncio.to_thread(file.write, bytes(held))
    told(size)
    return size


def _give_place(fresh: Path, place: Path) -> None:
    try:
        os.link(fresh, place)
    except FileExistsError:
        raise _taken(place) from None
    except OSError:
        # a file system without links: nothing else guards the moment between look and move
        if place.exists():
            raise _taken(place) from None
        fresh.replace(place)


def free_place(directory: Path, name: str, ending: str) -> Path:
    """Return a place for a file that is not taken: `name.ending`, or with a number."""
    for number in count(1):
        place = directory / f"{name}{f'-{number}' if number > 1 else ''}.{ending}"
        if not place.exists():
            return place
    raise AssertionError("numbers do not end")


def _taken(place: Path) -> Invalid:
    return Invalid("it is there already", where=str(place), remedy="name another file")


def _unwritten(place: Path, error: OSError) -> Invalid:
    return Invalid(f"cannot be written: {error.strerror}", where=str(place))
