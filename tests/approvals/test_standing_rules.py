"""Which actions a standing approval covers, and which terms have no scope."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.approvals.standing_ground import CENT, terms
from watchkeeper.approvals.standing.model import StandingApproval, Use, lasting
from watchkeeper.approvals.standing.rules import (
    check_risk,
    check_scope,
    covering,
    covers_groups,
    covers_use,
    pins_match,
)
from watchkeeper.core.digest import canonical
from watchkeeper.core.errors import Forbidden, Invalid

STANDS = StandingApproval(
    standing="std_1",
    contract="c",
    agent_version=1,
    tool_digest="t",
    definition="d",
    pins={"charge_id": b'"ch_1"'},
    uses_left=2,
    each_micros=1000 * CENT,
    money_left=1500 * CENT,
    expires_at=100,
    risk="high",
    groups=(("ops", 2), ("lead", 1)),
    signed=False,
    by=("person/ada",),
    people=frozenset({"ada", "paul"}),
)
USE = Use(
    contract="c",
    agent_version=1,
    tool_digest="t",
    definition="d",
    arguments={"charge_id": "ch_1", "amount_usd": 10, "note": "any"},
    amount_micros=1000 * CENT,
    risk="high",
    groups=(("ops", 2),),
    signed=False,
    on_behalf_of=frozenset({"carol"}),
    now=99,
)


def test_what_was_agreed_to_is_covered() -> None:
    assert covers_use(STANDS, USE)
    assert covers_use(STANDS, replace(USE, risk="low", groups=(("lead", 1), ("ops", 1))))


@pytest.mark.parametrize(
    "other",
    [
        {"contract": "x"},
        {"agent_version": 2},
        {"tool_digest": "x"},
        {"definition": None},
        {"arguments": {"charge_id": "ch_2"}},
        {"arguments": {"amount_usd": 10}},
        {"arguments": {"charge_id": ["ch_1"]}},
        {"amount_micros": 1000 * CENT + 1},
        {"risk": "critical"},
        {"groups": (("ops", 3),)},
        {"groups": (("ops", 1), ("owner", 1))},
        {"groups": ()},
        {"signed": True},
        {"on_behalf_of": frozenset({"ada", "a.lovelace"})},
        {"on_behalf_of": frozenset({"paul"})},
        {"now": 100},
    ],
    ids=",".join,
)
def test_nothing_else_is(other: dict[str, Any]) -> None:
    assert not covers_use(STANDS, replace(USE, **other))


@pytest.mark.parametrize("left", [{"uses_left": 0}, {"money_left": 999 * CENT}, {"risk": "medium"}])
def test_nor_with_what_is_left_of_it(left: dict[str, Any]) -> None:
    assert not covers_use(replace(STANDS, **left), USE)


def test_nothing_critical_is_covered_whatever_was_approved() -> None:
    assert not covers_use(replace(STANDS, risk="critical"), replace(USE, risk="critical"))
    with pytest.raises(Forbidden, match="critical"):
        check_risk("critical")


def test_the_one_that_ends_first_is_used_first() -> None:
    soon = replace(STANDS, standing="std_2", expires_at=99 + 0.5)  # type: ignore[arg-type]
    other = replace(STANDS, uses_left=0)
    assert covering([STANDS, other, soon], USE) == [soon, STANDS]


groups = st.dictionaries(st.sampled_from("abc"), st.integers(1, 3), min_size=1).map(
    lambda found: tuple(found.items())
)


@given(groups, groups)
def test_a_quorum_covers_another_that_asks_no_more_of_any_role(had: Any, needed: Any) -> None:
    enough = all(dict(had).get(role, 0) >= count for role, count in needed)
    assert covers_groups(had, needed) is enough


values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-2, 2) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)
arguments = st.dictionaries(st.sampled_from("abcd"), values, max_size=4)


@given(arguments, arguments)
def test_pins_hold_exactly_where_each_value_is_the_same(pinned: Any, sent: Any) -> None:
    try:
        pins = {name: canonical(value) for name, value in pinned.items()}
        texts = {name: canonical(value) for name, value in sent.items()}
    except Invalid:
        return  # a key in another form than NFC has no canonical form
    assert pins_match(pins, sent) is (pins.items() <= texts.items())


KNOWN = frozenset({"charge_id", "amount_usd", "note"})


def test_bounded_terms_are_taken() -> None:
    check_scope(terms(), KNOWN, "amount_usd")
    check_scope(terms(pins={}), None, "amount_usd")
    check_scope(terms(pins={}, each_micros=None, total_micros=None), frozenset(), None)


@pytest.mark.parametrize(
    ("changes", "known", "amount", "says"),
    [
        ({"pins": {"charge": "ch_1"}}, KNOWN, "amount_usd", "no argument 'charge'"),
        ({"pins": {}, "each_micros": None, "total_micros": None}, KNOWN, None, "no pin"),
        ({"pins": {}, "each_micros": None, "total_micros": None}, None, None, "no pin"),
        ({"each_micros": None}, KNOWN, "amount_usd", "moves money"),
        ({"total_micros": None}, KNOWN, "amount_usd", "moves money"),
        ({"total_micros": CENT}, KNOWN, "amount_usd", "less than one"),
        ({"pins": {"amount_usd": 11}}, KNOWN, "amount_usd", "pinned to more"),
        ({}, KNOWN, None, "declares no amount"),
    ],
)
def test_terms_without_a_scope_are_refused(
    changes: Any, known: Any, amount: str | None, says: str
) -> None:
    with pytest.raises(Invalid, match=says):
        check_scope(terms(**changes), known, amount)


def test_terms_are_said_in_words() -> None:
    assert terms().words() == (
        'let refund-assistant call stripe.create_refund with charge_id "ch_1", at most 3 times '
        "within 1 h, at most $10.00 each and $20.00 in all"
    )
    assert "with any arguments" in terms(pins={}).words()
    assert [lasting(n) for n in (90, 3600, 90_000, 30 * 86_400)] == [
        "1 m 30 s",
        "1 h",
        "1 d 1 h",
        "30 d",
    ]
