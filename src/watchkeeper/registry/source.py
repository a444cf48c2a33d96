"""Reading documents from YAML and Cedar text, with errors that point at file, line and field."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from watchkeeper.core.errors import Invalid
from watchkeeper.registry.documents import KINDS, Document, Policy
from watchkeeper.wire.base import NAME, NAME_FORM, problem_words

_MAX_NODES = 50_000
_LONGEST_NUMBER = 100
_NUMBERS = frozenset({"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"})
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Sourced:
    """A document and the file it came from."""

    kind: str
    name: str
    path: str
    text: str
    body: dict[str, Any]
    """What was written, before defaults and units: read again, it gives the same document."""
    document: Document


def read_file(path: str, text: str) -> list[Sourced]:
    """Return the documents in one file; raise `Invalid` that names file, line and field."""
    suffix = PurePosixPath(path).suffix
    if suffix == ".cedar":
        name = PurePosixPath(path).stem
        body = {"name": name, "text": text}
        try:
            document = Policy.model_validate(body)
        except ValidationError as error:
            raise Invalid(
                f"a policy file's name is its policy's name; {name!r} is not a name",
                where=path,
                remedy="use lower-case letters, digits, dots and dashes",
            ) from error
        return [Sourced("policy", name, path, text, body, document)]
    if suffix not in {".yaml", ".yml"}:
        raise Invalid(
            "not a document",
            where=path,
            remedy="name it *.yaml for documents or *.cedar",
        )
    return [_check(path, written) for written in read_yaml(path, text)]


@dataclass(frozen=True, slots=True)
class Written:
    """One YAML document as plain values, with the line of each field."""

    text: str
    value: Any
    lines: dict[tuple[str | int, ...], int]
    line: int


def read_yaml(path: str, text: str) -> Iterator[Written]:
    """Yield the YAML documents of a file; raise `Invalid` that names file and line."""
    try:
        nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else path
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise Invalid(f"not YAML: {problem}", where=where) from error
    except RecursionError as error:
        raise Invalid("nested too deeply", where=path) from error
    for node in nodes:
        lines: dict[tuple[str | int, ...], int] = {}
        value = _Builder(path, lines).build(node, (), frozenset())
        written = text[node.start_mark.index : node.end_mark.index]
        yield Written(written, value, lines, node.start_mark.line + 1)


class _Builder:
    """Turns YAML nodes into plain values, remembering each field's line."""

    def __init__(self, path: str, lines: dict[tuple[str | int, ...], int]) -> None:
        self._path = path
        self._lines = lines
        self._count = 0
        self._scalars = yaml.constructor.SafeConstructor()

    def build(self, node: yaml.Node, at: tuple[str | int, ...], above: frozenset[int]) -> Any:
        self._count += 1
        line = node.start_mark.line + 1
        if self._count > _MAX_NODES or id(node) in above:
            # Aliases can repeat a node without end ("billion laughs"): bound what they unfold to.
            raise Invalid("too large once its aliases are unfolded", where=f"{self._path}:{line}")
        self._lines.setdefault(at, line)
        above = above | {id(node)}
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, at, above)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*at, i), above) for i, item in enumerate(node.value)]
        if node.tag in _NUMBERS and len(node.value) > _LONGEST_NUMBER:
            # YAML's base 60 reads one in time that grows with the square of its length
            raise Invalid("a number with too many digits", where=f"{self._path}:{line}")
        try:
            value = self._scalars.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            raise Invalid(f"unknown value: {error}", where=f"{self._path}:{line}") from error
        if value is not None and not isinstance(value, str | int | float | bool):
            # Dates and binaries mean something else in every consumer: keep what was written.
            return node.value
        return value

    def _mapping(
        self, node: yaml.MappingNode, at: tuple[str | int, ...], above: frozenset[int]
    ) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            where = f"{self._path}:{key_node.start_mark.line + 1}"
            if not isinstance(key_node, yaml.ScalarNode):
                raise Invalid("a field name must be plain text", where=where)
            key = str(key_node.value)
            if key in result:
                raise Invalid(f"{key!r} stands twice in the same place", where=where)
            result[key] = self.build(value_node, (*at, key), above)
            self._lines[(*at, key)] = key_node.start_mark.line + 1
        return result


def validate(
    model: type[Model], body: Any, under: tuple[str, ...], path: str, written: Written
) -> Model:
    """Return what stands `under` some root key as a model; raise `Invalid` at its field."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise Invalid(
            _say_all(model, under, error.errors()[:8], path, written.lines),
            where=_place((*under, *error.errors()[0]["loc"]), path, written.lines),
            remedy="correct the field and apply again; nothing was changed",
        ) from error


def _check(path: str, written: Written) -> Sourced:
    value = written.value
    known = [kind for kind in KINDS if kind != "policy"]
    if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in known:
        found = ", ".join(map(str, value)) if isinstance(value, dict) else type(value).__name__
        near = difflib.get_close_matches(str(found), known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        if isinstance(value, dict) and len(value) > 1 and set(value) <= set(known):
            hint = "; put --- on a line of its own between documents"
        raise Invalid(
            f"expected one root key of {', '.join(known)}; found {found or 'nothing'}{hint}",
            where=f"{path}:{written.line}",
        )
    kind, body = next(iter(value.items()))
    document = validate(KINDS[kind], body, (kind,), path, written)
    return Sourced(kind, document.name, path, written.text, body, document)


_WORDS = {
    "missing": "is needed",
    "string_type": "should be text",
    "int_type": "should be a whole number",
    "int_parsing": "should be a whole number",
    "int_from_float": "should be a whole number",
    "bool_type": "should be true or false",
    "bool_parsing": "should be true or false",
    "tuple_type": "should be a list",
    "list_type": "should be a list",
    "model_type": "should be fields with values",
    "dict_type": "should be fields with values",
}
"""What is wrong, by the checker's type of problem; its own words speak of Python."""

_FORMS = (
    ("^sha256:", "sha256: and 64 hexadecimal digits in lower case"),
    ("^(env:", "env:NAME, file:PATH, sealed:NAME or vault:PATH#FIELD"),
    ("^(all|(team|agent)/", "all, team/NAME or agent/NAME"),
    ("^(all|team/", "all or team/NAME"),
    ("^(ssh-", "a public key as in authorized_keys, such as `ssh-ed25519 AAAA… laptop`"),
    ("^https?://|", "an address (https://…), spiffe://… or urn:…"),
    ("^https?://", "an address, https://… or http://…"),
    (f"^{NAME}$", NAME_FORM),
)
"""What a text should be, by how the pattern opens that it does not fit."""


def _say_all(
    model: Any,
    under: tuple[str, ...],
    problems: Sequence[Any],
    path: str,
    lines: dict[tuple[str | int, ...], int],
) -> str:
    """Say every problem; the first stands where the error points, the others say where."""
    first = _place((*under, *problems[0]["loc"]), path, lines)
    said = []
    for problem in problems:
        place = _place((*under, *problem["loc"]), path, lines)
        words = _say(model, under, problem)
        said.append(words if place == first else f"{place}: {words}")
    return "; ".join(said)


def _say(model: Any, under: tuple[str, ...], problem: Any) -> str:
    field = ".".join(str(part) for part in (*under, *problem["loc"]))
    message = problem_words(problem["msg"])
    if problem["type"] == "extra_forbidden":
        names = _fields_at(model, problem["loc"][:-1])
        near = difflib.get_close_matches(str(problem["loc"][-1]), names, 1)
        message = f"no such field; did you mean {near[0]!r}?" if near else "no such field"
    elif problem["type"] == "string_pattern_mismatch":
        pattern = str(problem["ctx"]["pattern"])
        form = next((words for opens, words in _FORMS if pattern.startswith(opens)), None)
        message = f"should be {form}" if form else f"does not fit the pattern {pattern}"
    elif problem["type"] == "too_short":
        message = f"needs {problem['ctx']['min_length']} or more that are right"
    return f"{field}: {_WORDS.get(problem['type'], message)}"


def _fields_at(model: Any, loc: Sequence[str | int]) -> list[str]:
    """Return the field names that a document has at a place; none if that can't be told."""
    for part in loc:
        if isinstance(part, str):
            field = _fields_of(model).get(part)
            model = _model_in(field.annotation) if field is not None else None
    return list(_fields_of(model))


def _fields_of(model: Any) -> dict[str, Any]:
    fields = getattr(model, "model_fields", {})
    return {field.alias or name: field for name, field in fields.items()}


def _model_in(annotation: Any) -> Any:
    """Return the document part that a field's type holds, alone or in a list."""
    if hasattr(annotation, "model_fields"):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)


def _place(loc: tuple[str | int, ...], path: str, lines: dict[tuple[str | int, ...], int]) -> str:
    """Return `path:line` of the field, or of its nearest parent that the file has."""
    while loc:
        if loc in lines:
            return f"{path}:{lines[loc]}"
        loc = loc[:-1]
    return path
