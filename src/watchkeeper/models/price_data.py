"""Asking the price data that comes with the plane, in a short process of its own."""

from __future__ import annotations

import asyncio
import sys

import msgspec

from watchkeeper.core.errors import Unavailable
from watchkeeper.models.known import Found, Question

SECONDS = 30.0
_found = msgspec.json.Decoder(Found)


async def ask(question: Question) -> Found:
    """Return what the data says; raise `Unavailable` when it cannot be read."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-m", "watchkeeper.models.known",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(SECONDS):
            said, trouble = await process.communicate(msgspec.json.encode(question))
    except TimeoutError:
        raise _unreadable(f"no answer in {SECONDS:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise _unreadable(trouble.decode(errors="replace").strip().rpartition("\n")[2][:200])
    try:
        return _found.decode(said)
    except msgspec.MsgspecError as error:
        raise _unreadable(str(error)[:200]) from None


def _unreadable(why: str) -> Unavailable:
    return Unavailable(
        f"the price data cannot be read: {why}",
        code="price_data_unreadable",
        remedy="give prices in the provider's document, or install the package genai-prices anew",
    )
