from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.approvals.model import STATES
from watchkeeper.approvals.people import STRANGERS, Voter, person_key
from watchkeeper.approvals.rules import (
    Ballot,
    Cast,
    check_level,
    excluded_keys,
    follows,
    tally,
    why_not,
    why_short,
)
from watchkeeper.core.errors import Conflict
from watchkeeper.oncall.model import Level, Position

LEVELS = (Level("ops"), Level("lead", 60))


def barrier(person: str = "ada", roles: Any = ("ops",), **changes: Any) -> str | None:
    values: dict[str, Any] = {
        "state": "pending",
        "decide_by": 100,
        "level": 1,
        "levels": LEVELS,
        "created_at": 0,
        "excluded": excluded_keys(
            ["agent/refunds", "person/carol", "caro@example.com"], ["dave"], STRANGERS
        ),
        "groups": (("ops", 2), ("finance", 1)),
    }
    voted, now = changes.pop("voted", False), changes.pop("now", 0)
    linked = frozenset(changes.pop("linked", ()))
    voter = Voter(person, frozenset({person_key(person)}), set(roles), linked)
    found = why_not(Ballot(**{**values, **changes}), voter, voted=voted, now=now)
    return found.code if found else None


def test_who_was_asked_may_vote_until_the_deadline() -> None:
    assert barrier() is None
    assert barrier(now=99) is None
    assert barrier(now=100) == "expired"
    assert barrier(roles=["lead"]) == "not_asked_yet"
    assert barrier(roles=["lead"], level=2) is None
    assert barrier(roles=["ops"], level=2) is None
    assert barrier(roles=["*"]) is None
    assert barrier(roles=["finance"]) is None
    assert barrier(roles=["sales"]) == "role_missing"
    assert barrier(roles=[]) == "role_missing"
    assert barrier(voted=True) == "already_voted"
    assert barrier(state="denied", decided_by="eve", decided_at=1) == "already_decided"


@pytest.mark.parametrize(
    "person",
    [
        "carol",
        "Carol",
        "person/carol",
        "spiffe://watchkeeper.local/person/CAROL",
        " carol ",
        "\uff43arol",
        "caro@example.com",
        "agent/refunds",
        "spiffe://watchkeeper.local/agent/refunds",
    ],
)
def test_nobody_votes_on_what_is_asked_by_them_or_for_them(person: str) -> None:
    assert barrier(person, ["*"]) == "separation_of_duties"


def test_an_agent_and_a_person_of_one_name_are_not_the_same() -> None:
    assert person_key("agent/ada") != person_key("person/ada")
    assert person_key("ada") == person_key("person/ada")


def test_whoever_shares_votes_with_a_principal_is_excluded_and_no_further() -> None:
    assert barrier("dave") == "separation_of_duties"
    assert barrier("eve", linked=["carol"]) == "separation_of_duties"
    assert barrier("eve", linked=["dave"]) is None
    giver = Voter("erin", frozenset({"erin"}), set(), frozenset({"carol"}))
    for held, excluded in ((giver, True), (Voter("erin", frozenset({"erin"}), set()), False)):
        voter = Voter("eve", frozenset({"eve"}), {"ops"}, frozenset({"erin"}), held)
        ballot = Ballot("pending", 100, 1, LEVELS, 0, excluded_keys(["carol"], [], STRANGERS))
        assert (why_not(ballot, voter, voted=False, now=0) is not None) == excluded


ROLES = st.sets(st.sampled_from(["ops", "lead", "finance", "sales"]), min_size=1)
VOTES = st.lists(st.tuples(st.sampled_from(["approve", "approve", "reject", "changes"]), ROLES))


@given(VOTES.filter(lambda votes: len(votes) < 6), st.integers(1, 3), st.integers(0, 2))
def test_a6_a8_any_rejection_denies_and_the_order_of_votes_does_not_matter(
    votes: list[Any], ops: int, finance: int
) -> None:
    cast = [Cast(verdict, frozenset({str(n)}), held) for n, (verdict, held) in enumerate(votes)]
    groups = (("ops", ops), *((("finance", finance),) if finance else ()))
    results = {tally(order, LEVELS, groups) for order in itertools.permutations(cast)}
    if any(verdict != "approve" for verdict, _ in votes):
        assert results == {"denied"}
    else:
        met = meets([held for _, held in votes], ops, finance)
        assert results == {"approved" if met else None}


def meets(votes: list[Any], ops: int, finance: int) -> bool:
    """Whether some way of seating people, each at one place, fills every place; by trying all."""
    return any(
        seats.count("ops") >= ops and seats.count("finance") >= finance
        for seats in itertools.product(
            *(
                [*(["ops"] if held & {"ops", "lead"} else []), *(held & {"finance"}), ""]
                for held in votes
            )
        )
    )


def test_one_person_under_two_names_counts_once() -> None:
    ada = Cast("approve", frozenset({"ada", "a.l"}), {"ops"})
    again = Cast("approve", frozenset({"a.l"}), {"ops"})
    groups = (("ops", 2),)
    assert tally([ada, again], LEVELS, groups) is None
    assert tally([ada, again, Cast("approve", frozenset({"bob"}), {"lead"})], LEVELS, groups)


def test_an_earlier_quorum_must_cover_the_one_of_now() -> None:
    held = (("ops", 2), ("owner", 1))
    for enough in ((("ops", 2),), (("ops", 1), ("owner", 1)), (("owner", 1),), held):
        assert why_short(held, enough) is None
    assert why_short(held, (("ops", 3),)) == "3 of ops must agree by now, where 2 had to"
    assert why_short(held, (("ops", 1), ("finance", 1))) == (
        "1 of finance must agree by now, where none had to"
    )
    assert why_short(held, (("desk", 1),), later=["ops"]) is None


def test_every_state_is_reached_from_pending_and_the_last_ones_lead_nowhere() -> None:
    reached, frontier = {"pending"}, ["pending"]
    while frontier:
        state: Any = frontier.pop()
        after = {then for then in STATES if follows(state, then)} - reached
        reached |= after
        frontier += after
    assert reached == set(STATES)
    last = {state for state in STATES if not any(follows(state, then) for then in STATES)}
    assert last == {
        "denied", "expired", "revoked", "cancelled", "superseded", "lapsed", "succeeded", "failed",
        "unknown",
    }  # fmt: skip


def test_a_stale_level_never_escalates() -> None:
    check_level((1, 1), Position(1, 0), levels=LEVELS)
    for seen, position in [
        ((1, 1), Position(2, 0)),
        ((1, 2), Position(2, 0, round=2)),
        ((2, 1), Position(1, 0)),
    ]:
        with pytest.raises(Conflict) as stale:
            check_level(seen, position, levels=LEVELS)
        assert stale.value.code == "already_escalated"
    with pytest.raises(Conflict) as last:
        check_level((1, 2), Position(2, 0), levels=LEVELS)
    assert last.value.code == "no_next_level"
