"""Schemas that would keep a checker busy for ever are no usable schemas."""

from __future__ import annotations

from typing import Any

import pytest

from watchkeeper.core.errors import Invalid
from watchkeeper.tools.inspection.bounds import MOST_STEPS, count_steps, is_linear
from watchkeeper.tools.inspection.schemas import compile_schema

NODE = {"$ref": "#/$defs/node"}


def doubling(levels: int) -> dict[str, Any]:
    """A schema of a few lines whose references come to 2 ** levels rules."""
    defs: dict[str, Any] = {
        f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**defs, f"d{levels}": False}}


def recursive(node: dict[str, Any]) -> dict[str, Any]:
    return {"$ref": "#/$defs/node", "$defs": {"node": node}}


def test_references_that_double_at_each_step_are_refused() -> None:
    assert count_steps(doubling(4)) < 200
    with pytest.raises(Invalid, match="more than 20,000 rules"):
        compile_schema(doubling(40), "result")


@pytest.mark.parametrize(
    "node",
    [
        {"allOf": [{"items": NODE}, {"items": NODE}]},
        {"anyOf": [{"properties": {"a": NODE}}, {"additionalProperties": NODE}]},
        {"properties": {"a": {"allOf": [NODE, NODE]}}},
        {"allOf": [{"properties": {"a": NODE}}, {"properties": {"a": {"items": NODE}}}]},
        {"properties": {"a": NODE}, "patternProperties": {"^a": NODE}},
        {"anyOf": [NODE, {"type": "string"}]},
    ],
)
def test_a_schema_that_comes_back_to_itself_twice_for_one_part_is_refused(
    node: dict[str, Any],
) -> None:
    with pytest.raises(Invalid, match=r"leads back to itself|more than once for one part"):
        compile_schema(recursive(node), "result")


@pytest.mark.parametrize(
    "node",
    [
        {"properties": {"next": NODE}},
        {"properties": {"left": {"anyOf": [NODE, {"type": "null"}]}, "right": NODE}},
        {"anyOf": [{"type": "string"}, {"type": "array", "items": NODE},
                   {"type": "object", "additionalProperties": NODE}]},
    ],
)  # fmt: skip
def test_lists_and_trees_are_checked_to_any_depth(node: dict[str, Any]) -> None:
    check = compile_schema(recursive({**node, "not": {"const": "no"}}), "result")
    assert check({"next": {"next": {}}, "left": {"right": {}}}) is None
    assert check({"next": "no", "left": "no"}) is not None


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "https://example.com/schema"},
        {"$ref": "#anchor", "$defs": {"a": {"$anchor": "anchor"}}},
        {"$ref": "#/$defs/none"},
        {"$dynamicRef": "#a"},
        {"items": {"$id": "https://example.com/inner"}},
        {"$ref": "#/$defs/a/$defs/b",
         "$defs": {"a": {"$id": "https://example.com/a", "$defs": {"b": {"$ref": "#/$defs/b"}}}}},
    ],
)  # fmt: skip
def test_a_reference_that_cannot_be_followed_here_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match=r"reference|id or a dialect"):
        compile_schema(schema, "result")


@pytest.mark.parametrize("place", ["pattern", "patternProperties"])
def test_patterns_of_repeats_in_repeats_are_refused(place: str) -> None:
    heavy = r"(\w{1,50}){1,50}x"
    with pytest.raises(Invalid):
        compile_schema({place: heavy if place == "pattern" else {heavy: True}}, "result")
    plain = compile_schema({"pattern": r"^\w{1,255}$"}, "result")
    assert plain("a" * 255) is None
    assert plain("a" * 256) is not None


def test_look_around_is_for_short_values() -> None:
    check = compile_schema({"pattern": r"^(?!.*zz)[a-z]+$"}, "arguments")
    assert check("a" * 500) is None
    assert check("azz") is not None
    assert "too large to be checked" in str(check("a" * 100_000))
    assert not any(map(is_linear, (r"(?=a)b", r"(?<!a)b", r"(a)\1", r"(?>a+)a")))
    assert all(map(is_linear, (r"^\w{1,255}$", r"^[0-9a-f]{8}-[0-9a-f]{4}$", "a|b")))


def test_many_rules_are_not_held_against_many_values() -> None:
    check = compile_schema({"items": {"anyOf": [{"const": n} for n in range(5000)]}}, "result")
    assert count_steps({"enum": list(range(100))}) > 100
    assert MOST_STEPS > 5000
    assert check([3] * 10) is None
    assert "too large to be checked" in str(check([-1] * 100_000))
