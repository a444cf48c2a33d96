"""Checking Cedar files: syntax, schema and annotations, with the file and line of what is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cedarpy

from watchkeeper.core.errors import Invalid
from watchkeeper.policy.annotations import Annotated, read_annotations
from watchkeeper.policy.bounds import check_size, find, split
from watchkeeper.policy.reading import Reads, read_context
from watchkeeper.policy.schema import CONTEXT, SCHEMA
from watchkeeper.policy.scope import Scope, read_scope

AT_ONCE = 200
"""Policies that Cedar reads in one go: while it does, the whole process waits."""
LONG = 64 * 1024
"""From so many characters on a file is remembered for a short while only."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One policy, with all that evaluating it needs."""

    annotated: Annotated
    text: str
    """The whole statement with its annotations, an @id always among them."""
    permits: bool
    scope: Scope
    reads: Reads
    line: int
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Checked:
    """Policies of one file, in the order they stand."""

    name: str
    text: str
    rules: tuple[Rule, ...]
    entities: frozenset[tuple[str, str]]
    """The entities that they name, as (type, id), actions among them."""

    @property
    def policies(self) -> tuple[Annotated, ...]:
        """What they are called and ask for, in the order they stand."""
        return tuple(rule.annotated for rule in self.rules)

    @property
    def permits(self) -> bool:
        """Whether any of them is a permit."""
        return any(rule.permits for rule in self.rules)


def check_file(name: str, text: str, where: str | None = None) -> Checked:
    """Return a file's policies; raise `Invalid` naming the file and line of a mistake."""
    where = where or f"{name}.cedar"
    check_size(text, where)
    statements = split(text)
    pieces = ["\n".join(statements[n : n + AT_ONCE]) for n in range(0, len(statements), AT_ONCE)]
    bodies = [body for piece in pieces for body in _parse(piece, text, where)]
    lines = _lines_of(text)
    for number, piece in enumerate(pieces):
        verdict = cedarpy.validate_policies(piece, SCHEMA)
        if not verdict.validation_passed:
            first = verdict.errors[0]
            place = str(first.policy_id).removeprefix("policy")
            at = number * AT_ONCE + int(place) if place.isdigit() else len(lines)
            raise Invalid(
                re.sub(r"^for policy `[^`]*`, ", "", str(first.error)),
                where=f"{where}:{lines[at]}" if at < len(lines) else where,
                remedy="actions are use_tool, call_model; entities are Agent, Tool, Model, Store; "
                "context has " + ", ".join(sorted(CONTEXT)),
            )
    rules = tuple(
        _read_rule(_name_of(name, index, body), body, statement, f"{where}:{line}", line)
        for index, (body, statement, line) in enumerate(zip(bodies, statements, lines, strict=True))
    )
    return Checked(name, text, rules, frozenset(_entities(bodies)))


def _parse(piece: str, text: str, where: str) -> list[dict[str, Any]]:
    """Return some policies of a text in Cedar's JSON form, in order."""
    try:
        parsed = json.loads(cedarpy.policies_to_json_str(piece))
    except ValueError as error:
        raise Invalid(f"not Cedar: {_first_line(error)}", where=_locate(where, text)) from error
    if parsed.get("templates") or parsed.get("templateLinks"):
        raise Invalid("Cedar templates are not supported", where=where)
    statics: dict[str, dict[str, Any]] = parsed["staticPolicies"]
    return [statics[policy] for policy in sorted(statics, key=_order)]


def _read_rule(name: str, body: Mapping[str, Any], text: str, where: str, line: int) -> Rule:
    said = {key: str(value or "") for key, value in body.get("annotations", {}).items()}
    annotated = read_annotations(name, body["effect"], said, where)
    return Rule(
        annotated,
        text if "id" in said else f'@id("{name}")\n{text}',
        body["effect"] == "permit",
        read_scope(body),
        read_context(body["conditions"]),
        line,
        said,
    )


# A thousand policies take half a second to check, and most of an apply stays as it was. Anybody
# who reads may try files out: few long ones are remembered.
_check_short = lru_cache(maxsize=256)(check_file)
_check_long = lru_cache(maxsize=8)(check_file)


def _check_again(name: str, text: str) -> Checked:
    return (_check_long if len(text) > LONG else _check_short)(name, text)


def check_set(files: Iterable[tuple[str, str]]) -> tuple[Checked, ...]:
    """Check every (name, text); raise `Invalid` if two policies share an id."""
    checked = tuple(_check_again(name, text) for name, text in files)
    seen: dict[str, str] = {}
    for file in checked:
        for policy in file.policies:
            if policy.policy in seen:
                raise Invalid(
                    f"policy id {policy.policy!r} is used in {seen[policy.policy]}.cedar already",
                    where=f"{file.name}.cedar",
                )
            seen[policy.policy] = file.name
    return checked


def _name_of(file: str, index: int, body: Mapping[str, Any]) -> str:
    return str(body.get("annotations", {}).get("id") or f"{file}.{index + 1}")


def _order(policy_id: str) -> int:
    return int(policy_id.removeprefix("policy"))


def _lines_of(text: str) -> list[int]:
    """Return the line on which each policy begins, in order."""
    lines: list[int] = []
    line, counted = 1, 0
    for start, _ in find(text):
        line += text.count("\n", counted, start)
        counted = start
        lines.append(line)
    return lines


def _locate(where: str, text: str) -> str:
    """Cedar's parse errors carry no line: parse each statement alone to find the broken one."""
    for start, end in find(text):
        try:
            cedarpy.policies_to_json_str(text[start:end])
        except ValueError:
            return f"{where}:{text.count(chr(10), 0, start) + 1}"
    return where


def _first_line(error: ValueError) -> str:
    return str(error).splitlines()[0] if str(error) else "unreadable"


def _entities(node: Any) -> Iterator[tuple[str, str]]:
    """Yield every entity a policy's parsed form names."""
    if isinstance(node, list):
        for item in node:
            yield from _entities(item)
    elif isinstance(node, dict):
        kind, name = node.get("type"), node.get("id")
        if isinstance(kind, str) and isinstance(name, str) and len(node) == 2:
            yield kind, name
        else:
            for key, item in node.items():
                if key != "annotations":
                    yield from _entities(item)
