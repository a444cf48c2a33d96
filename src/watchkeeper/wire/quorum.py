"""Quorums: how many distinct people of which roles have to agree."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence, Set

from watchkeeper.core.errors import Invalid
from watchkeeper.wire.base import NAME

Groups = tuple[tuple[str, int], ...]
"""Roles, each named once, with how many people of it have to agree."""

_PART = re.compile(rf"([1-9][0-9]?) of ({NAME})")
MOST_PARTS = 8


def read_quorum(text: str) -> Groups:
    """Read a quorum such as `2 of sre-oncall and 1 of owner`; raise `Invalid` for another text."""
    parts = [_PART.fullmatch(part) for part in text.split(" and ", MOST_PARTS)]
    found = tuple((part[2], int(part[1])) for part in parts if part)
    if len(found) < len(parts) or len(parts) > MOST_PARTS:
        raise Invalid(
            f"{text!r:.80} is not a quorum",
            remedy=f"write it as `2 of sre-oncall and 1 of owner`, with up to {MOST_PARTS} parts",
        )
    if len({role for role, _ in found}) < len(found):
        raise Invalid(f"{text!r:.80} names a role twice", remedy="name each role once")
    return found


def quorum_words(groups: Groups) -> str:
    """Write a quorum as it is read."""
    return " and ".join(f"{count} of {role}" for role, count in groups)


def size(groups: Groups) -> int:
    """Return how many people have to agree in all."""
    return sum(count for _, count in groups)


def fill(votes: Iterable[Set[str]], groups: Groups) -> tuple[int, ...]:
    """Return how many people each group has, when as many places as can be are taken.

    A vote is the roles that one person may stand for; each takes one place at most. Places are
    given by augmenting paths (H. W. Kuhn's method), so that nobody is kept out by a person who
    could as well stand elsewhere.
    """
    seated: dict[str, list[Set[str]]] = {role: [] for role, _ in groups}
    for vote in votes:
        _seat(vote, groups, seated, set())
    return tuple(len(seated[role]) for role, _ in groups)


def is_met(votes: Iterable[Set[str]], groups: Groups) -> bool:
    """Tell whether votes fill every group."""
    return sum(fill(votes, groups)) >= size(groups)


def _seat(
    vote: Set[str], groups: Groups, seated: dict[str, list[Set[str]]], tried: set[str]
) -> bool:
    for role, count in groups:
        if role not in vote or role in tried:
            continue
        tried.add(role)
        if len(seated[role]) < count:
            seated[role].append(vote)
            return True
        for place, other in enumerate(seated[role]):
            if _seat(other, groups, seated, tried):
                seated[role][place] = vote
                return True
    return False


def merge(*asked: Sequence[tuple[str, int]]) -> Groups:
    """Return one quorum that meets several: of each role the larger count."""
    most: dict[str, int] = {}
    for groups in asked:
        for role, count in groups:
            most[role] = max(count, most.get(role, 0))
    return tuple(most.items())
