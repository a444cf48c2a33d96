"""How much work a JSON Schema can make of a value, found out before it is ever used.

A checker goes through every reference anew: a few lines that refer to one another twice take
longer than anybody lives, and it can't be interrupted meanwhile. So what a schema comes to with
every reference written out is counted. Where it comes back to itself, it may do so once for
each part of a value: then the work stays in proportion to the value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from watchkeeper.core.errors import Invalid
from watchkeeper.core.patterns import searching

MOST_STEPS = 20_000
_PATTERN, _LOOKING = 25, 2500
"""Steps that a pattern counts as: it goes through every character; with look-around, from each."""
_MOST_RETURNS = 100
_DEEPEST = 150

_HERE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else")
_HERE_NAMED = ("dependentSchemas", "dependencies")
_ITEMS = ("items", "prefixItems", "additionalItems", "unevaluatedItems", "contains")
_MEMBERS = ("additionalProperties", "unevaluatedProperties")
_ANY_ITEM, _ANY_MEMBER, _A_NAME = "[]", "{}", "{name}"
_COUNTED = ("enum", "required", "dependentRequired", "properties", "patternProperties")

Path = tuple[str, ...]


def count_steps(schema: Mapping[str, Any]) -> int:
    """Return how many rules a schema comes to for one part of a value, at most.

    Raises `Invalid` for one that takes more than a bounded amount of work, and for references
    that lead out of it or can't be followed here.
    """
    walk = _Walk(schema)
    walk.through(schema, (), 0)
    return walk.steps


class _Walk:
    """Goes through a schema as a checker would."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.steps = 0
        self._root = root
        self._open: dict[int, Path] = {id(root): ()}
        """The references that are being followed, and where in a value each began."""
        self._returns: list[Path] = []

    def through(self, schema: Any, at: Path, depth: int) -> None:
        """Go through one schema for the part of a value that is `at`."""
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise Invalid(f"it comes to more than {MOST_STEPS:,} rules")
        if depth > _DEEPEST:
            raise Invalid(f"it nests deeper than {_DEEPEST}")
        if not isinstance(schema, Mapping):
            return
        self._check_base(schema)
        if "$dynamicRef" in schema or "$recursiveRef" in schema:
            raise Invalid("it holds a dynamic reference")
        for name in _COUNTED:
            listed = schema.get(name)
            self.steps += len(listed) if isinstance(listed, list | Mapping) else 0
        named = schema.get("patternProperties")
        for pattern in (schema.get("pattern"), *(named if isinstance(named, Mapping) else ())):
            self.steps += 0 if pattern is None else _PATTERN if is_linear(pattern) else _LOOKING
        if "$ref" in schema:
            self._follow(schema["$ref"], at, depth)
        for below, path in _parts(schema, at):
            self.through(below, path, depth + 1)

    def _follow(self, reference: Any, at: Path, depth: int) -> None:
        target = self._target(reference)
        began = self._open.get(id(target))
        if began is None:
            self._open[id(target)] = at
            self.through(target, at, depth + 1)
            del self._open[id(target)]
            return
        if began == at:
            raise Invalid("a reference in it leads back to itself")
        if len(self._returns) >= _MOST_RETURNS or any(_meet(at, one) for one in self._returns):
            raise Invalid("it comes back to itself more than once for one part of a value")
        self._returns.append(at)

    def _target(self, reference: Any) -> Any:
        if not isinstance(reference, str) or not (reference == "#" or reference[:2] == "#/"):
            raise Invalid("a reference in it is not of the form #/…")
        found: Any = self._root
        for part in unquote(reference[1:]).split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, Mapping) and name in found:
                found = found[name]
            elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
                found = found[int(name)]
            else:
                raise Invalid("a reference in it leads nowhere")
            self._check_base(found)
        if not isinstance(found, Mapping | bool):
            raise Invalid("a reference in it leads to what is no schema")
        return found

    def _check_base(self, schema: Any) -> None:
        """Refuse what changes where the references below it begin."""
        if schema is not self._root and isinstance(schema, Mapping):
            if isinstance(schema.get("$id"), str) or isinstance(schema.get("$schema"), str):
                raise Invalid("a schema inside it has an id or a dialect of its own")
            if "draft-04" in str(self._root.get("$schema")) and isinstance(schema.get("id"), str):
                raise Invalid("a schema inside it has an id of its own")


def is_linear(pattern: Any) -> bool:
    """Whether a pattern can be looked for in one pass: it has no look-around or back-reference."""
    try:
        searching(pattern)
    except Invalid:
        return False
    return True


def _parts(schema: Mapping[str, Any], at: Path) -> Iterator[tuple[Any, Path]]:
    """Yield the schemas in a schema, each with the part of a value that it is for."""
    for name in _HERE:
        for below in _each(schema.get(name)):
            yield below, at
    for name in _HERE_NAMED:
        for _, below in _named(schema.get(name)):
            yield below, at
    for name in _ITEMS:
        for below in _each(schema.get(name)):
            yield below, (*at, _ANY_ITEM)
    for name in _MEMBERS:
        for below in _each(schema.get(name)):
            yield below, (*at, _ANY_MEMBER)
    for below in _each(schema.get("propertyNames")):
        yield below, (*at, _A_NAME)
    for _, below in _named(schema.get("patternProperties")):
        yield below, (*at, _ANY_MEMBER)
    for key, below in _named(schema.get("properties")):
        yield below, (*at, f".{key}")


def _each(found: Any) -> Iterator[Any]:
    if isinstance(found, list):
        yield from found
    elif found is not None:
        yield found


def _named(found: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(found, Mapping):
        yield from found.items()


def _meet(one: Path, other: Path) -> bool:
    """Whether two paths may lead to one part of a value, or one into the other's."""
    return all(
        a == b or (a[0] in ".{" and b[0] in ".{" and _ANY_MEMBER in (a, b))
        for a, b in zip(one, other, strict=False)
    )
