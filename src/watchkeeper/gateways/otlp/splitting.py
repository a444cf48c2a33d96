"""Takes an OTLP body apart into its records, before anything of it is made into objects.

The three requests have one shape (opentelemetry-proto): resources (field 1) with a resource (1)
and scopes (2), which hold the records (2). Each record is then parsed by itself: one that is
malformed spoils no other, and a body that unpacks into far more than it weighs does so in pieces.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from watchkeeper.core.errors import Invalid, TooLarge

MOST_RECORDS = 20_000
MOST_GROUPS = 2_000
"""Resources and scopes of one body."""
LARGEST_RECORD = 256 * 1024
_VARINT, _FIXED64, _LEN, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10


class Group(NamedTuple):
    """The records of one scope, and the resource that they are of."""

    resource: bytes
    records: list[bytes]


def split(body: bytes) -> Iterator[Group]:
    """Yield the records of a body; raise `Invalid` for what is no protobuf, `TooLarge` for more
    of them than are taken at once.
    """
    records = groups = 0
    for number, of_resource in fields(body):
        if number != 1:
            continue
        resource, scopes = b"", []
        for inner, part in fields(of_resource):
            if inner == 1:
                resource = part
            elif inner == 2:
                scopes.append(part)
        for scope in scopes:
            found = [part for inner, part in fields(scope) if inner == 2]
            records += len(found)
            groups += 1
            check_counts(records, groups)
            yield Group(resource, found)
        groups += 1
        check_counts(records, groups)


def check_counts(records: int, groups: int) -> None:
    """Raise `TooLarge` for more than is taken at once."""
    if records > MOST_RECORDS or groups > MOST_GROUPS:
        raise TooLarge(
            f"a request may have {MOST_RECORDS:,} records in {MOST_GROUPS:,} scopes",
            remedy="export smaller batches",
        )


def fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the fields of a message that have a length, with their numbers."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == _LEN:
            size, at = _varint(data, at)
            if size > end - at:
                raise _malformed()
            yield tag >> 3, data[at : at + size]
            at += size
        elif kind == _VARINT:
            _, at = _varint(data, at)
        elif kind == _FIXED64:
            at += 8
        elif kind == _FIXED32:
            at += 4
        else:
            raise _malformed()
    if at != end:
        raise _malformed()


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    for byte in data[at : at + _LONGEST_VARINT]:
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return value, at
        shift += 7
    raise _malformed()


def _malformed() -> Invalid:
    return Invalid("the body is no OTLP message", where="body")
