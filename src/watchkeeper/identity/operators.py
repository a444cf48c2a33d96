"""What an operator may do, and in which teams: pure rules over roles and assignments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from watchkeeper.wire.permissions import OWNER_ONLY, PERMISSIONS, Permission

Roles = Mapping[str, frozenset[Permission]]
"""Operator roles by name."""
_NONE: frozenset[Permission] = frozenset()


@dataclass(frozen=True, slots=True)
class Assigned:
    """One operator role and the teams it counts in; no team means all of them."""

    role: str
    teams: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Permissions:
    """What is held in every team, and what in some teams only."""

    everywhere: frozenset[Permission] = _NONE
    in_teams: Mapping[str, frozenset[Permission]] = field(
        default_factory=lambda: MappingProxyType({})
    )

    def teams(self, needed: Permission) -> frozenset[str] | None:
        """Return the teams a permission is held in; None stands for every team."""
        if needed in self.everywhere:
            return None
        return frozenset(team for team, held in self.in_teams.items() if needed in held)

    def anywhere(self) -> frozenset[Permission]:
        """Return what is held in one team at least."""
        return self.everywhere.union(*self.in_teams.values())

    def within(self, other: Permissions) -> Permissions:
        """Return what both hold."""
        return Permissions(
            self.everywhere & other.everywhere,
            {
                team: (self.everywhere | self.in_teams.get(team, _NONE))
                & (other.everywhere | other.in_teams.get(team, _NONE))
                for team in self.in_teams.keys() | other.in_teams.keys()
            },
        )

    @property
    def rank(self) -> int:
        """Return how far it reaches, for lifting what another locked.

        2: all that an admin may; 1: less, but in every team; 0: in some teams only.
        """
        if self.everywhere >= PERMISSIONS - OWNER_ONLY:
            return 2
        return 1 if {"lock", "lift"} & self.everywhere else 0


ALL = Permissions(PERMISSIONS)
"""What the account that runs the plane may do."""


def permissions_of(assigned: Iterable[Assigned], roles: Roles) -> Permissions:
    """Return the union of some assignments; a role that nobody defined holds nothing."""
    everywhere: set[Permission] = set()
    in_teams: dict[str, set[Permission]] = {}
    for one in assigned:
        held = roles.get(one.role, _NONE) - OWNER_ONLY
        if not one.teams:
            everywhere |= held
        for team in one.teams:
            in_teams.setdefault(team, set()).update(held)
    return Permissions(
        frozenset(everywhere),
        {team: frozenset(held) for team, held in in_teams.items()},
    )
