from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.approvals.model import STATES
from watchkeeper.approvals.rules import (
    TERMINAL,
    Ballot,
    check_level,
    excluded_keys,
    follows,
    person_key,
    tally,
    why_not,
)
from watchkeeper.core.errors import Conflict
from watchkeeper.oncall.model import Level

LEVELS = (Level("ops"), Level("lead", 60))


def barrier(person: str = "ada", roles: Any = ("ops",), **changes: Any) -> str | None:
    values: dict[str, Any] = {
        "state": "pending",
        "decide_by": 100,
        "level": 1,
        "levels": LEVELS,
        "created_at": 0,
        "excluded": excluded_keys("refunds", "person/carol", ["caro@example.com"]),
    }
    voted, now = changes.pop("voted", False), changes.pop("now", 0)
    found = why_not(Ballot(**{**values, **changes}), person, set(roles), voted=voted, now=now)
    return found.code if found else None


def test_who_was_asked_may_vote_until_the_deadline() -> None:
    assert barrier() is None
    assert barrier(now=99) is None
    assert barrier(now=100) == "expired"
    assert barrier(roles=["lead"]) == "not_asked_yet"
    assert barrier(roles=["lead"], level=2) is None
    assert barrier(roles=["ops"], level=2) is None
    assert barrier(roles=["*"]) is None
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


@given(st.lists(st.sampled_from(["approve", "reject"]), max_size=6), st.integers(1, 4))
def test_any_rejection_denies_and_the_order_of_votes_does_not_matter(
    verdicts: list[Any], quorum: int
) -> None:
    results = {tally(order, quorum) for order in itertools.permutations(verdicts)}
    expected = "approved" if len(verdicts) >= quorum else None
    assert results == {"denied" if "reject" in verdicts else expected}


def test_every_state_is_reached_from_pending_and_the_last_ones_lead_nowhere() -> None:
    reached, frontier = {"pending"}, ["pending"]
    while frontier:
        state: Any = frontier.pop()
        after = {then for then in STATES if follows(state, then)} - reached
        reached |= after
        frontier += after
    assert reached == set(STATES)
    assert {
        "denied", "expired", "revoked", "cancelled", "superseded", "lapsed", "succeeded", "failed",
        "unknown",
    } == TERMINAL  # fmt: skip


def test_a_stale_level_never_escalates() -> None:
    check_level(1, level=1, levels=LEVELS, asked_at=0)
    with pytest.raises(Conflict) as stale:
        check_level(1, level=2, levels=LEVELS, asked_at=0)
    assert stale.value.code == "already_escalated"
    with pytest.raises(Conflict) as last:
        check_level(2, level=2, levels=LEVELS, asked_at=0)
    assert last.value.code == "no_next_level"
