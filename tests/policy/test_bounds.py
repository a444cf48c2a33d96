"""Policies made to crash Cedar's parser are refused before it sees them."""

from __future__ import annotations

import pytest

from watchkeeper.core.errors import Invalid
from watchkeeper.policy.bounds import DEEPEST, check_size
from watchkeeper.policy.source import check_file

HEAD = "permit(principal, action, resource)"


def when(condition: str) -> str:
    return f"{HEAD}\nwhen {{ {condition} }};\n"


@pytest.mark.parametrize(
    "condition",
    [
        "(" * 20_000 + "true" + ")" * 20_000,
        '"//" == "" || ' + "(" * 20_000 + "true" + ")" * 20_000,
        "[" * 1000 + "]" * 1000 + " == []",
        "{a:" * 1000 + "1" + "}" * 1000 + " == 1",
        '("\\"" == ")" && ' * 500 + "true" + ")" * 500,
        "if true then true else " * 5000 + "true",
        "context has " + "a." * 5000 + "a",
        "true" + " || true" * 40_000,
        "context" + ".x" * 40_000,
    ],
)
def test_what_would_crash_the_parser_is_refused_with_its_line(condition: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_file("bomb", when("true") + when(condition))
    assert refused.value.where == "bomb.cedar:4"


def test_many_policies_and_brackets_in_words_are_no_bomb() -> None:
    spoken = '@message("((((((((( \\" [[[[ // {{{{ ;")\n' + when('"(((" like "*//"')
    assert len(check_file("fine", spoken * 300).policies) == 300
    deep = DEEPEST - 1
    assert check_file("deep", when("(" * deep + "true" + ")" * deep)).permits


def test_a_string_that_never_ends_is_refused_at_once() -> None:
    with pytest.raises(Invalid, match="never ends"):
        check_size('permit "' + '\\"' * 300_000, "x.cedar")


@pytest.mark.parametrize("blank", ["\n" * 900_000, "// x\n" * 150_000])
def test_blank_lines_cost_no_more_than_their_number(blank: str) -> None:
    assert check_file("blank", HEAD + ";" + blank).rules[0].line == 1
    assert check_file("first", blank + HEAD + ";").rules[0].line == blank.count("\n") + 1
    with pytest.raises(Invalid, match="not Cedar") as refused:
        check_file("torn", HEAD + ";\n" + HEAD + blank)
    assert refused.value.where == "torn.cedar:2"
