"""Tool results before an agent gets them: checked against their schema, data kept back.

A result passes as the bytes it came in, passes with markers in it, or is withheld. What can't
be read, checked or inspected is withheld.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import msgspec

from watchkeeper.core.digest import check_values
from watchkeeper.core.errors import Invalid
from watchkeeper.tools.inspection.model import TooLarge
from watchkeeper.tools.inspection.redaction import redact
from watchkeeper.tools.inspection.rules import Classes
from watchkeeper.tools.inspection.schemas import Check
from watchkeeper.tools.inspection.values import MOST_VALUES, Inspection, inspect
from watchkeeper.tools.upstreams.model import Result
from watchkeeper.wire.data import DATA_CLASSES

NONE: Classes = frozenset()
_STRUCTURED = "structuredContent"


@dataclass(frozen=True, slots=True)
class Terms:
    """Under what terms a tool's results go to an agent."""

    tool: str
    unwanted: Classes
    """Classes of data that the agent is not given."""
    check: Check | None = None
    """What the structured content must fit; None where nothing is declared."""


@dataclass(frozen=True, slots=True)
class Withheld:
    """Why an agent does not get a result."""

    rule: str
    problem: str


@dataclass(frozen=True, slots=True)
class Released:
    """What an agent gets of a result."""

    result: Result | Withheld
    classes: Classes = NONE
    """Classes of data found in it."""
    redacted: Classes = NONE
    """Those of them that the agent is not given."""


class _Unreadable(Exception):
    """A result that is not plain JSON."""


def release(result: Result, terms: Terms) -> Released:
    """Return what an agent gets of a result. Pure, and linear in its size."""
    output, data_out = f"tool/{terms.tool}/output", f"tool/{terms.tool}/data-out"
    try:
        value = {name: _decode(bytes(raw)) for name, raw in result.items()}
    except _Unreadable as error:
        return Released(Withheld(output, f"the result {error}"))
    problem = _misfit(value, terms.check)
    if problem is not None:
        return Released(Withheld(output, problem))
    opened = _open_blobs(value)
    try:
        inspection: Inspection = inspect(value)
        unwanted = inspection.classes & terms.unwanted
        if not unwanted:
            return Released(result, inspection.classes)
        redacted = redact(value, terms.unwanted, inspection)
    except TooLarge as error:
        if not terms.unwanted:
            return Released(result)
        return Released(Withheld(data_out, f"it can't be inspected: {error}"))
    _close_blobs(redacted, opened)
    if _misfit(redacted, terms.check) is not None:
        names = ", ".join(one for one in DATA_CLASSES if one in unwanted)
        problem = f"without its data of class {names} it does not fit its output schema"
        return Released(Withheld(data_out, problem), inspection.classes, unwanted)
    return Released(
        {name: _encode(item) for name, item in redacted.items()}, inspection.classes, unwanted
    )


def _misfit(value: dict[str, Any], check: Check | None) -> str | None:
    if check is None or value.get("isError") is True:
        return None
    if _STRUCTURED not in value:
        return f"{_STRUCTURED}: is missing, and an output schema is declared"
    return check(value[_STRUCTURED])


def _open_blobs(value: dict[str, Any]) -> set[int]:
    """Put the text of embedded files in place of their base64; return where."""
    opened: set[int] = set()
    for index, resource in _resources(value):
        blob = resource.get("blob")
        if isinstance(blob, str):
            try:
                resource["blob"] = base64.b64decode(blob, validate=True).decode()
            except (binascii.Error, ValueError):
                continue  # no text: an image, an archive
            opened.add(index)
    return opened


def _close_blobs(value: dict[str, Any], opened: set[int]) -> None:
    for index, resource in _resources(value):
        if index in opened:
            resource["blob"] = base64.b64encode(resource["blob"].encode()).decode()


def _resources(value: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    content = value.get("content")
    for index, block in enumerate(content if isinstance(content, list) else ()):
        resource = block.get("resource") if isinstance(block, dict) else None
        if isinstance(resource, dict):
            yield index, resource


def _decode(raw: bytes) -> Any:
    """Read a member; refuse what two readers could read differently."""
    try:
        text = raw.decode()
        check_values(text, MOST_VALUES)
        value = _decoder.decode(text)
        if b"\\u" in raw:
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except UnicodeError:
        raise _Unreadable("is not UTF-8 text") from None
    except Invalid:
        raise _Unreadable(f"holds more than {MOST_VALUES:,} values") from None
    except (ValueError, RecursionError):
        raise _Unreadable("is not JSON that can be read") from None


def _encode(value: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def _take_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _Unreadable("holds a key twice in one object")
    return value


def _take_float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise _Unreadable("holds a number too large")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise _Unreadable(f"holds {name}, which is not JSON")


_decoder = json.JSONDecoder(
    object_pairs_hook=_take_pairs, parse_float=_take_float, parse_constant=_refuse_constant
)
