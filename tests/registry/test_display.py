"""Display templates: arguments in braces, nothing else."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core.text import make_safe
from watchkeeper.registry.display import LONGEST, fields_of, render


def test_arguments_are_put_in_and_nothing_is_looked_up() -> None:
    arguments = {"amount": 20, "to": "ada", "tags": ["a", 1], "a.b": "dotted"}
    assert render("Pay {amount} to {to} {tags} {a.b}", arguments) == 'Pay 20 to ada ["a",1] dotted'
    for evil in ("{to.__class__}", "{to[0]}", "{to!r}", "{to:>99}", "{}", "{0}", "{{to}", "%(to)s"):
        assert "class 'str'" not in render(evil, arguments)
    assert render("{to.__class__} {to[0]} {to!r} {missing}", arguments) == (
        "{to.__class__} {to[0]} {to!r} {missing}"
    )


def test_a_value_is_no_template() -> None:
    assert render("{a} {b}", {"a": "{b}", "b": "secret"}) == "{b} secret"


def test_fields_are_named_once() -> None:
    assert fields_of("{a} {b.c} {a} {not this}") == ("a", "b.c")


@given(st.text(max_size=400), st.dictionaries(st.text(max_size=9), st.text() | st.integers()))
def test_anything_renders_safe_and_short(template: str, arguments: dict[str, Any]) -> None:
    shown = render(template, arguments)
    assert len(shown) <= LONGEST
    assert shown == make_safe(shown)
