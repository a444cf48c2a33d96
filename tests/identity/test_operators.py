"""What an operator may do: unions, bounds and teams, for whatever was assigned."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.identity.operators import ALL, Assigned, Permissions, permissions_of
from watchkeeper.wire.permissions import BUILT_IN_ROLES, OWNER_ONLY, PERMISSIONS, Permission

TEAMS = ("finance", "legal", "sales")
ROLES = {
    **BUILT_IN_ROLES,
    "treasurer": frozenset[Permission]({"top-up"}),
    "chief": frozenset[Permission]({"plane", "lock"}),
}
assigned = st.lists(
    st.builds(
        Assigned,
        st.sampled_from([*ROLES, "unknown"]),
        st.frozensets(st.sampled_from(TEAMS)),
    ),
    max_size=5,
)


def holds(found: Permissions, needed: Permission, team: str) -> bool:
    teams = found.teams(needed)
    return teams is None or team in teams


@given(assigned)
def test_what_is_held_is_exactly_what_a_role_gives_there(given_roles: list[Assigned]) -> None:
    found = permissions_of(given_roles, ROLES)
    for needed in PERMISSIONS:
        for team in (*TEAMS, "", "another"):
            wanted = needed not in OWNER_ONLY and any(
                needed in ROLES.get(one.role, ()) and (not one.teams or team in one.teams)
                for one in given_roles
            )
            assert holds(found, needed, team) is wanted, (needed, team)
    assert not found.anywhere() & OWNER_ONLY


@given(assigned, assigned)
def test_a_bound_never_adds_and_takes_only_what_it_lacks(
    one: list[Assigned], other: list[Assigned]
) -> None:
    left, right = permissions_of(one, ROLES), permissions_of(other, ROLES)
    both = left.within(right)
    for needed in PERMISSIONS:
        for team in (*TEAMS, "", "another"):
            wanted = holds(left, needed, team) and holds(right, needed, team)
            assert holds(both, needed, team) is wanted, (needed, team)
    assert both.rank <= min(left.rank, right.rank)


def test_ranks_rise_with_what_may_be_done() -> None:
    def rank(role: str, *teams: str) -> int:
        return permissions_of([Assigned(role, frozenset(teams))], ROLES).rank

    assert rank("admin", "finance") < rank("responder") < rank("admin") == ALL.rank
