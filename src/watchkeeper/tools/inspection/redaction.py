"""JSON values without what may not be in them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from watchkeeper.tools.inspection.model import Spans, TooLarge
from watchkeeper.tools.inspection.values import Inspection, inspect, is_number, written
from watchkeeper.wire.data import DATA_CLASSES, DataClass

_ROUNDS = 4


def redact(
    value: Any, unwanted: Collection[DataClass], inspection: Inspection | None = None
) -> Any:
    """Return the value with a marker in place of everything of unwanted classes.

    A number becomes a text. Raises `TooLarge` where `inspect` does, and where taking out what
    was found goes on bringing out more.
    """
    seen = inspection or inspect(value)
    for _ in range(_ROUNDS):
        if seen.classes.isdisjoint(unwanted):
            return value
        value = _Rebuilding(seen, frozenset(unwanted)).of(value)
        seen = inspect(value)
    raise TooLarge("more to redact after each redaction")


def redact_text(text: str, unwanted: Collection[DataClass]) -> str:
    """Return a text with a marker in place of everything of unwanted classes.

    A text that can't be inspected is replaced as a whole.
    """
    try:
        return str(redact(text, unwanted))
    except TooLarge:
        return "[too large to inspect]"


def marker(data_class: DataClass) -> str:
    """Return what stands in place of what was taken out."""
    return f"[{data_class} redacted]"


class _Rebuilding:
    """Makes a value again, text by text in the order they were collected."""

    def __init__(self, seen: Inspection, unwanted: frozenset[DataClass]) -> None:
        self._seen = seen
        self._unwanted = unwanted
        self._index = -1

    def of(self, value: Any) -> Any:
        """Return a value without what is unwanted in it."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping):
            made: dict[str, Any] = {}
            for key, item in value.items():
                name = free = self._text(key)
                number = 2
                while free in made:
                    free, number = f"{name} {number}", number + 1
                made[free] = self.of(item)
            return made
        if isinstance(value, list | tuple):
            return [self.of(item) for item in value]
        if is_number(value):
            text = written(value)
            shown = self._text(text)
            return value if shown == text else shown
        return value

    def _text(self, text: str) -> str:
        self._index += 1
        inside = self._seen.opened.get(self._index)
        if inside is not None and not inside.classes.isdisjoint(self._unwanted):
            shown = json.dumps(
                _Rebuilding(inside, self._unwanted).of(json.loads(text)),
                ensure_ascii=False,
                indent=2 if "\n" in text.strip() else None,
            )
            return shown
        spans = [s for s in self._seen.found.get(self._index, ()) if s.data_class in self._unwanted]
        return _replace(text, spans) if spans else text


def _replace(text: str, spans: Spans) -> str:
    """Put a marker over each stretch; one that touches another shares its marker."""
    parts: list[str] = []
    end = 0
    for start, until, data_class in _merged(spans):
        parts += (text[end:start], marker(data_class))
        end = until
    return "".join((*parts, text[end:]))


def _merged(spans: Spans) -> Iterator[tuple[int, int, DataClass]]:
    ordered = sorted(spans, key=lambda span: span.start)
    start, end, data_class = ordered[0].start, ordered[0].end, ordered[0].data_class
    for span in ordered[1:]:
        if span.start < end:
            end = max(end, span.end)
            data_class = min(data_class, span.data_class, key=DATA_CLASSES.index)
        else:
            yield start, end, data_class
            start, end, data_class = span.start, span.end, span.data_class
    yield start, end, data_class
