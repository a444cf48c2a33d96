"""Patterns over what agents send: found in every disguise, and never a way to stand still."""

from __future__ import annotations

from typing import Any

import pytest

from watchkeeper.core.errors import Invalid
from watchkeeper.registry.patterns import LONGEST_CHECKED, compile_pattern


@pytest.mark.parametrize(
    "value",
    [
        "buy a gift card",
        "buy a GIFT  card".replace("  ", " "),
        "ｇｉｆｔ ｃａｒｄ",
        "gift\u00ad \u200bcard",
        ["harmless", "gift card"],
        {"memo": {"lines": [1, {"text": "gift card"}]}},
        "x" * (LONGEST_CHECKED + 1),
        ["x" * 300] * 100,
    ],
)
def test_a_pattern_is_found_wherever_the_text_hides(value: Any) -> None:
    """In lists and objects, in wide letters, across what takes no room; too long is a match."""
    assert compile_pattern("(?i)gift ?card")(value)


@pytest.mark.parametrize("value", ["a refund", "", None, 7, [], {"card": "gift"}, ["gift", "card"]])
def test_what_is_not_there_is_not_found(value: Any) -> None:
    """Only what stands together matches."""
    assert not compile_pattern("(?i)gift ?card")(value)


def test_anchors_hold_before_a_last_line_end_and_inside_lists() -> None:
    """A line end or a list around it hides nothing from `^` and `$`."""
    occurs = compile_pattern("^drop$")
    assert occurs("drop\n")
    assert occurs(["drop"])
    assert compile_pattern("^$")(None)


@pytest.mark.parametrize("pattern", ["(a+)+$", r"\s*password\s*is\s*$", "(a|aa)+b"])
def test_text_made_to_stall_a_pattern_does_not(pattern: str) -> None:
    """An engine that tries again and again would need years for this."""
    occurs = compile_pattern(pattern)
    assert not occurs("a" * 10_000 + " " * 9_000 + "!")


@pytest.mark.parametrize("pattern", ["(", "(?=a)b", r"(a)\1", "(a{1000}){1000}"])
def test_a_pattern_that_cannot_be_bounded_is_refused(pattern: str) -> None:
    """What needs to look back is refused when it is applied, not when it is asked."""
    with pytest.raises(Invalid, match="regular expression"):
        compile_pattern(pattern)
