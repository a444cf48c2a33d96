"""`python -m watchkeeper.gateways.otlp.child`: reads what exporters send, apart from the plane.

What agents send is large and hostile: taken apart here, it holds up no decision, and the most that
it can break is this process, which has no store, no secret and bounded memory. It ends with its
input, and so with the plane, however that ends.
"""

from __future__ import annotations

import contextlib
import resource
import sys
import zlib
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO

from watchkeeper.core.errors import Invalid, TooLarge, WatchkeeperError
from watchkeeper.decide.telemetry.reported import Part, report
from watchkeeper.gateways.otlp.frames import LENGTH_BYTES, Asked, asked_in, frame
from watchkeeper.gateways.otlp.reading import read_logs, read_points, read_spans

SPANS_AT_ONCE = 128
"""Spans of one part, which the plane writes at once: two milliseconds."""
POINTS_AT_ONCE = 256
"""Of which few tell anything."""
LARGEST_UNPACKED = 16 * 1024 * 1024
LARGEST_MEMORY = 1024 * 1024 * 1024


def main() -> None:
    """Answer until the input ends."""
    _bound()
    given, answers = sys.stdin.buffer, sys.stdout.buffer
    while (said := _next(given)) is not None and (body := _next(given)) is not None:
        for part in parts(asked_in(said), body):
            answers.write(frame(part))
            answers.flush()


def parts(asked: Asked, body: bytes) -> Iterator[Part]:
    """Take a request apart; the last part says why nothing more is taken, where that is so."""
    try:
        yield from _parts(asked, _unpacked(body) if asked.zipped else body)
    except WatchkeeperError as error:
        refused = error.status, error.message, error.remedy or ""
        yield Part(asked.number, end=True, refused=refused)
    except (MemoryError, RecursionError):
        refused = TooLarge.status, "the body is too much to be read", "export smaller batches"
        yield Part(asked.number, end=True, refused=refused)
    except Exception:  # whatever it is: the next body may be another agent's
        yield Part(asked.number, end=True, refused=(Invalid.status, "the body can't be read", ""))


def _parts(asked: Asked, body: bytes) -> Iterator[Part]:
    number = asked.number
    if asked.signal == "metrics":
        points = read_points(body, json=asked.json)
        while told := list(islice(points, POINTS_AT_ONCE)):
            measured = tuple(one for one in told if one is not None)
            yield Part(number, points=len(told), measured=measured)
        yield Part(number, end=True)
        return
    logs = asked.signal == "logs"
    found = (read_logs if logs else read_spans)(body, json=asked.json)
    some = list(islice(found, SPANS_AT_ONCE))
    while True:
        following = list(islice(found, SPANS_AT_ONCE))
        said = [one for one in some if one is not None]
        # most log records tell of no action, and are none
        malformed = 0 if logs else len(some) - len(said)
        reported, untimely = report(said, asked.allowed, asked.now)
        yield Part(
            number,
            tuple(reported),
            malformed + untimely,
            logs=len(some) if logs else 0,
            malformed=malformed > 0,
            end=not following,
        )
        if not following:
            return
        some = following


def _unpacked(body: bytes) -> bytes:
    unpacking = zlib.decompressobj(wbits=31)
    try:
        found = unpacking.decompress(body, LARGEST_UNPACKED + 1)
    except zlib.error:
        raise Invalid("the body is not gzip, though its head says so", where="body") from None
    if len(found) > LARGEST_UNPACKED:
        raise TooLarge(f"the body unpacks to more than {LARGEST_UNPACKED:,} bytes")
    if not unpacking.eof:
        raise Invalid("the body breaks off", where="body")
    return found


def _next(given: BinaryIO) -> bytes | None:
    """Return the next frame; None at the end of the input."""
    size = given.read(LENGTH_BYTES)
    if len(size) < LENGTH_BYTES:
        return None
    wanted = int.from_bytes(size, "big")
    data = given.read(wanted)
    return data if len(data) == wanted else None


def _bound() -> None:
    """Bound what reading may take of the machine."""
    for kind, most in (
        (resource.RLIMIT_AS, LARGEST_MEMORY),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        with contextlib.suppress(OSError, ValueError):  # not every system knows every bound
            resource.setrlimit(kind, (most, most))


if __name__ == "__main__":
    main()
