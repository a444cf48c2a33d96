"""How one definition differs from another: a walk over both, linear in their size."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from watchkeeper.core.digest import canonical
from watchkeeper.core.text import has_hidden
from watchkeeper.tools.upstreams.model import ToolDefinition

MOST_LINES = 200
LONGEST_LINE = 600
_ABSENT: Any = object()
"""What is not there; `null` is."""
_MEMBERS = ("title", "description", "inputSchema", "outputSchema", "annotations")


def members_of(definition: ToolDefinition | None) -> dict[str, Any]:
    """Return what a definition says, by the protocol's names."""
    if definition is None:
        return {}
    return {
        "title": definition.title,
        "description": definition.description,
        "inputSchema": definition.input_schema,
        "outputSchema": definition.output_schema,
        "annotations": definition.annotations,
    }


def changed_members(old: ToolDefinition | None, new: ToolDefinition) -> tuple[str, ...]:
    """Return the names of the members that differ."""
    before, after = members_of(old), members_of(new)
    return tuple(name for name in _MEMBERS if not _same(before.get(name), after.get(name)))


def compare(old: ToolDefinition | None, new: ToolDefinition | None) -> tuple[str, ...]:
    """Return lines that begin with ``-`` (was), ``+`` (is offered) or ``!`` (a warning)."""
    lines = islice(_compare(old, new), MOST_LINES + 1)
    shown = [
        line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 1] + "…" for line in lines
    ]
    if len(shown) > MOST_LINES:
        shown[MOST_LINES:] = ["! more differs than is shown here"]
    return tuple(shown)


def _compare(old: ToolDefinition | None, new: ToolDefinition | None) -> Iterator[str]:
    if new is not None and new.problem is not None:
        yield f"! {new.problem}"
        return
    if new is not None and has_hidden(new.text) and not (old and has_hidden(old.text)):
        yield "! it holds characters that a reader would not see"
    before, after = members_of(old), members_of(new)
    for name in _MEMBERS:
        yield from _walk(name, _present(before, name), _present(after, name))


def _present(members: dict[str, Any], name: str) -> Any:
    """Return a member of a definition; one that is None was not sent."""
    value = members.get(name)
    return _ABSENT if value is None else value


def _walk(path: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _walk(f"{path}.{key}", old.get(key, _ABSENT), new.get(key, _ABSENT))
        return
    if old is new or (_ABSENT not in (old, new) and _same(old, new)):
        return
    if old is not _ABSENT:
        yield f"- {path}: {_shown(old)}"
    if new is not _ABSENT:
        yield f"+ {path}: {_shown(new)}"


def _same(old: Any, new: Any) -> bool:
    # 1 equals True here, and is another schema
    return old == new and canonical(old) == canonical(new)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value[:LONGEST_LINE]
    parts = json.JSONEncoder(ensure_ascii=False).iterencode(value)
    text = ""
    for part in parts:
        text += part
        if len(text) > LONGEST_LINE:
            break
    return text
