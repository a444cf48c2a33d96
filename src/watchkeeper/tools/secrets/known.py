"""The values of credentials in use, so that none of them is passed on or kept by accident.

An upstream that means harm can write its own credential in any disguise; this finds what is
echoed as it is, or as JSON, a URL or HTTP's basic scheme would write it.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from urllib.parse import quote

SHORTEST = 6
"""Characters; a shorter value stands in ordinary words too often to be looked for."""
HIDDEN = b"[credential withheld]"
_KEPT = 3
_MOST = 4096
_LARGE = 20_000_000
"""Bytes compared; a search reads some 20 GB a second."""


class KnownValues:
    """Remembers, by reference, the last values read, and takes them out of bytes and text."""

    def __init__(self) -> None:
        self._values: dict[str, deque[str]] = {}
        self._needles: tuple[bytes, ...] = ()

    def remember(self, source: str, value: str) -> None:
        """Take a value that was read from a reference; what it replaces is remembered a while."""
        kept = self._values.get(source)
        if kept is None:
            if len(self._values) >= _MOST:
                self._values.pop(next(iter(self._values)))
            kept = self._values[source] = deque(maxlen=_KEPT)
        if value in kept or len(value) < SHORTEST:
            return
        kept.append(value)
        forms = {form for values in self._values.values() for one in values for form in _forms(one)}
        # a longer form first: it may hold a shorter one
        self._needles = tuple(sorted(forms, key=len, reverse=True))

    def redact_known(self, data: bytes) -> bytes:
        """Return `data` with every known value replaced; the same object where there is none."""
        return _replace(data, self._needles)

    async def redact_answer(self, data: bytes, own: str = "") -> bytes:
        """Do as `redact_known`, for one value more; a large answer does not block the loop."""
        needles = self._needles
        if len(own) >= SHORTEST:
            needles = (*sorted(_forms(own), key=len, reverse=True), *needles)
        if len(data) * len(needles) > _LARGE:
            return await asyncio.to_thread(_replace, data, needles)
        return _replace(data, needles)

    def redact_text(self, text: str) -> str:
        """Return a text with every known value replaced."""
        raw = text.encode("utf-8", "surrogatepass")
        found = self.redact_known(raw)
        return text if found is raw else found.decode("utf-8", "surrogatepass")


def _replace(data: bytes, needles: tuple[bytes, ...]) -> bytes:
    for needle in needles:
        if needle in data:
            data = data.replace(needle, HIDDEN)
    return data


def _forms(value: str) -> set[bytes]:
    escaped = json.dumps(value)[1:-1]
    forms = {value, escaped, escaped.replace("/", "\\/"), quote(value, safe="")}
    # without its padding: what ends in that begins with this
    return {form.encode() for form in forms} | {base64.b64encode(value.encode()).rstrip(b"=")}
