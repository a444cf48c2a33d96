"""Identifiers: time-sortable names for things, and secrets."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import threading

from watchkeeper.core.clock import Clock

_FORM = re.compile(r"[a-z]{2,8}_[a-z0-9]{1,60}")
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = tuple(high + low for high in _ALPHABET for low in _ALPHABET)
_RANDOM_BITS = 70
_RANDOM_MASK = (1 << _RANDOM_BITS) - 1
_TIME_BITS = 10  # microseconds within the millisecond
_FIFTY_BITS = (1 << 50) - 1  # of 130: 26 characters of 5 bits; the first two are always zero
_AT_ONCE = 4096  # random bytes asked of the system at a time


class _Sequence:
    """Keeps ids made in one microsecond in the order they were made."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at = -1
        self._random = 0
        self._drawn = b""
        self._used = 0

    def next(self, at: int) -> int:
        with self._lock:
            if at == self._at:
                step = 1 + self._draw(4)
                self._random = (self._random + step) & _RANDOM_MASK
            else:
                self._at = at
                # the top bit stays free, so that steps within a microsecond cannot wrap
                self._random = self._draw(9) & (_RANDOM_MASK >> 1)
            return self._random

    def _draw(self, count: int) -> int:
        start, end = self._used, self._used + count
        if end > len(self._drawn):
            self._drawn, start, end = os.urandom(_AT_ONCE), 0, count
        self._used = end
        return int.from_bytes(self._drawn[start:end], "big")

    def forget(self) -> None:
        """Let a forked process draw its own."""
        self._lock = threading.Lock()
        self._drawn = b""


_sequence = _Sequence()
os.register_at_fork(after_in_child=_sequence.forget)


def new_at(prefix: str, at: int) -> str:
    """Return ``<prefix>_<26 characters>`` that sorts by ``at`` (microseconds)."""
    milliseconds, microseconds = divmod(at, 1000)
    value = (((milliseconds << _TIME_BITS) | microseconds) << _RANDOM_BITS) | _sequence.next(at)
    return _write(prefix, value)


def first_at(prefix: str, at: int) -> str:
    """Return the lowest id there can be of a time: ids made from then on sort after it."""
    milliseconds, microseconds = divmod(at, 1000)
    return _write(prefix, ((milliseconds << _TIME_BITS) | microseconds) << _RANDOM_BITS)


def _write(prefix: str, value: int) -> str:
    # in three parts that fit a machine's word, ten bits at a time
    a, b, c = value >> 100, value >> 50 & _FIFTY_BITS, value & _FIFTY_BITS
    of = _PAIRS
    return (
        f"{prefix}_{of[a >> 20]}{of[a >> 10 & 1023]}{of[a & 1023]}"
        f"{of[b >> 40]}{of[b >> 30 & 1023]}{of[b >> 20 & 1023]}{of[b >> 10 & 1023]}{of[b & 1023]}"
        f"{of[c >> 40]}{of[c >> 30 & 1023]}{of[c >> 20 & 1023]}{of[c >> 10 & 1023]}{of[c & 1023]}"
    )


def new(prefix: str, clock: Clock) -> str:
    """Return a new time-sortable id (a lower-case ULID) such as ``run_01jd…``."""
    return new_at(prefix, clock.now())


def secret(prefix: str) -> str:
    """Return a new secret with 256 random bits: ``<prefix>_<43 url-safe characters>``."""
    return f"{prefix}_{secrets.token_urlsafe(32)}"


def random_bytes(count: int) -> bytes:
    """Return so many bytes that nobody can guess, as nonces and keys need."""
    return os.urandom(count)


def is_id(text: str) -> bool:
    """Tell whether a text from outside has the form of an id."""
    return _FORM.fullmatch(text) is not None


def hash_secret(text: str) -> str:
    """Return the hex SHA-256 under which a secret is stored; the secret itself never is."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
