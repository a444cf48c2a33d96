"""Policies made to crash Cedar's parser are refused before it sees them."""

from __future__ import annotations

import gc

import pytest

from watchkeeper.core.errors import Invalid
from watchkeeper.policy.bounds import DEEPEST, check_size
from watchkeeper.policy.source import AT_ONCE, LONG, Checked, check_file, check_set

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


def test_what_is_read_in_pieces_reads_as_one() -> None:
    """Names, lines and mistakes are those of the whole text."""
    many = [f"// {n}\n{HEAD};" for n in range(2 * AT_ONCE + 5)]
    found = check_file("many", "\n".join(many)).rules
    assert [rule.annotated.policy for rule in found] == [f"many.{n + 1}" for n in range(len(many))]
    assert [rule.line for rule in found] == [2 * n + 2 for n in range(len(many))]
    for broken in (when("context.nothing"), f"{HEAD} when", f'@id("")\n{HEAD};', HEAD):
        last = AT_ONCE + 3 if broken != HEAD else len(many)
        text = "\n".join([*many[:last], broken, *many[last:]])
        with pytest.raises(Invalid) as refused:
            check_file("many", text)
        line = 2 * last + (2 if broken.startswith("@") else 1)
        assert refused.value.where == f"many.cedar:{line}"


def test_an_annotation_may_be_called_like_an_effect() -> None:
    with pytest.raises(Invalid, match="@permit") as refused:
        check_file("odd", f'{HEAD};\n@ // forbid\npermit("x")\n{HEAD};')
    assert refused.value.where == "odd.cedar:4"


def test_few_long_files_are_remembered() -> None:
    """Whoever may try files out must not fill the memory with them."""
    for number in range(30):
        check_set([("long", f"// {number} {'x' * LONG}\n{HEAD};")])
    kept = [one for one in gc.get_objects() if isinstance(one, Checked) and len(one.text) > LONG]
    assert 0 < len(kept) < 15
