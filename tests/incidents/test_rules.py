"""An incident's state machine, and how grave it is."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as some

from watchkeeper.core.errors import Conflict
from watchkeeper.incidents.rules import Happens, after, graver, severity_of
from watchkeeper.wire.incidents import SEVERITIES, IncidentState, Severity
from watchkeeper.wire.locks import TargetKind

ALL: tuple[Happens, ...] = get_args(Happens)


@given(some.lists(some.sampled_from(ALL), max_size=30))
def test_it_opens_and_closes_in_turn_and_nothing_joins_it_while_it_is_closed(
    happened: list[Happens],
) -> None:
    state: IncidentState = "open"
    turns: list[Happens] = []
    for what in happened:
        try:
            then = after(state, what)
        except Conflict as error:
            assert error.code == f"incident_{state}"
            assert (state, what) in {("closed", "join"), ("closed", "close"), ("open", "reopen")}
            continue
        if what in ("close", "reopen"):
            turns.append(what)
        else:
            assert then == state
        assert what != "join" or state == "open"
        state = then
    assert turns == [("close", "reopen")[place % 2] for place in range(len(turns))]
    assert state == ("closed" if len(turns) % 2 else "open")


def test_the_wider_the_target_the_graver() -> None:
    chain: tuple[TargetKind, ...] = ("run", "agent", "team", "everything")
    assert tuple(severity_of(kind) for kind in chain) == SEVERITIES
    assert {severity_of(kind) for kind in get_args(TargetKind)} <= set(SEVERITIES)


@pytest.mark.parametrize("one", SEVERITIES)
@pytest.mark.parametrize("other", SEVERITIES)
def test_of_two_the_graver(one: Severity, other: Severity) -> None:
    assert SEVERITIES.index(graver(one, other)) == max(map(SEVERITIES.index, (one, other)))
