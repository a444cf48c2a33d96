"""Caps from the command line: changed for a while, shown, taken back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.command import on
from tests.cli.test_commands import done
from tests.rig.plane import Plane
from tests.rig.world import POLICY, budget_document, world
from watchkeeper.cli import exits

NAME = "team/finance-ops/day/spend"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    plane = Plane(tmp_path_factory.mktemp("caps")).start()
    try:
        budget = budget_document("day", "team/finance-ops", spend_usd=2, wall_seconds=60)
        plane.apply(*world(budget), policy__cedar=POLICY)
        yield plane
    finally:
        plane.close()


def test_a_cap_is_changed_for_a_while_and_taken_back(plane: Plane) -> None:
    changed = done(on(plane, "budgets", "cap", NAME, "$0.5", "--until", "+2h", "--reason", "x"))
    assert "cap now  $0.50" in changed.out
    assert "until" in changed.out
    assert "$0.50*" in done(on(plane, "budgets", "list")).out
    assert "by person/" in done(on(plane, "budgets", "show", NAME)).out
    back = done(on(plane, "budgets", "cap", NAME, "--remove", "--reason", "x", "--json")).json()
    assert (back["cap"], back["cap_by"]) == (2_000_000, None)


def test_time_is_given_in_seconds(plane: Plane) -> None:
    name = "team/finance-ops/day/wall_time"
    found = done(on(plane, "budgets", "cap", name, "90", "--reason", "x", "--json")).json()
    assert found["cap"] == 90_000_000
    assert "90 s*" in done(on(plane, "budgets", "list")).out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((NAME, "--reason", "x"), exits.USAGE),
        ((NAME, "$1", "--remove", "--reason", "x"), exits.USAGE),
        ((NAME, "--remove", "--reason", "x"), exits.CONFLICT),
        (("team/nobody/day/spend", "$1", "--reason", "x"), exits.NOT_FOUND),
        ((NAME, "$1", "--until", "yesterdayish", "--reason", "x"), exits.REFUSED),
    ],
    ids=str,
)
def test_what_cannot_be_changed(plane: Plane, words: tuple[str, ...], code: int) -> None:
    assert on(plane, "budgets", "cap", *words).code == code
