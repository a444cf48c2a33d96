"""What the plane and the process that reads for it say to each other.

Frames on both pipes are a length (four bytes, big-endian) and MessagePack: an `Asked` and then the
body go to the process, one after the other; `Part`s come back.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from watchkeeper.decide.telemetry.reported import Allowed, Part

LENGTH_BYTES = 4
Signal = Literal["traces", "logs", "metrics"]


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """What to read the body as that comes next, and what may be kept of it."""

    signal: Signal
    json: bool
    zipped: bool
    allowed: Allowed
    now: int
    number: int = 0


_encode = msgspec.msgpack.Encoder(enc_hook=str).encode  # of `core.text.Safe`
asked_in = msgspec.msgpack.Decoder(Asked).decode
part_in = msgspec.msgpack.Decoder(Part).decode


def frame(said: Asked | Part | bytes) -> bytes:
    """Return a frame of a message, or of a body as it came."""
    data = said if isinstance(said, bytes) else _encode(said)
    return len(data).to_bytes(LENGTH_BYTES, "big") + data
