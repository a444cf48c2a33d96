"""People who vote under several names, and what they are asked: drawn in any mixture."""

from __future__ import annotations

from collections.abc import Set

from hypothesis import strategies as st

from tests.approvals.ground import wanted
from watchkeeper.approvals.people import person_key
from watchkeeper.oncall.model import Level

ALIASES = {"a.l": "ada", "carol@home": "carol", "g.h": "grace"}
PEOPLE = ["ada", "person/ADA", "grace", "bob", "eve", "carol", *ALIASES]
NAMES = st.sampled_from(PEOPLE)
LEVELS = (Level("ops"), Level("lead", 60), Level("head", 120))
FIRST = {level.role for level in LEVELS}
RUNS = st.sampled_from(["run_1", "run_2"])
GROUPS = st.sampled_from(
    [
        (("ops", 1),),
        (("ops", 2),),
        (("ops", 1), ("finance", 1)),
        (("ops", 2), ("finance", 1)),
    ]
)
ACTIONS = st.builds(
    lambda run, amount, groups, allow, behalf: wanted(
        run=run,
        arguments={"amount_usd": amount},
        groups=groups,
        risk="low" if allow else "high",
        timeout_outcome="allow" if allow else "deny",
        levels=LEVELS,
        grant_seconds=80,
        on_behalf_of=behalf,
    ),
    RUNS,
    st.integers(1, 2),
    GROUPS,
    st.sampled_from([False, False, False, True]),
    st.sampled_from(["person/carol", "person/carol", "carol@home", None]),
)
PAIRS = st.sampled_from(
    [("carol", "ada"), ("grace", "carol"), ("carol", "grace"), ("bob", "carol"), ("eve", "bob"),
     ("grace", "eve"), ("bob", "ada")]
)  # fmt: skip
"""Who gives votes to whom; mostly with whom requests are for."""
LATEST = st.sampled_from([0, 0, 0, 1, 1, 2, 3])
"""How many requests back a step reaches: mostly to those that are not decided yet."""


class Crowd:
    """People as documents say now: names, aliases, roles; the test changes them."""

    def __init__(self) -> None:
        self.aliases: dict[str, str] = {}
        self.documents = {"ada", "grace", "bob", "eve", "carol"}
        self.members: dict[str, set[str]] = {
            "ops": {"ada", "grace", "eve", "carol", "a.l"},
            "lead": {"grace"},
            "finance": {"bob", "eve", "ada", "g.h"},
        }

    def key(self, name: str) -> str:
        key = person_key(name)
        return self.aliases.get(key, key)

    def names(self, name: str) -> frozenset[str]:
        own = self.key(name)
        return frozenset({own, *(a for a, whose in self.aliases.items() if whose == own)})

    def roles(self, person: str) -> Set[str]:
        key = self.key(person)
        return frozenset(role for role, people in self.members.items() if key in people)

    def documented(self, person: str) -> bool:
        return self.key(person) in self.documents

    def known(self, person: str) -> bool:
        return True

    def locked(self, person: str) -> str | None:
        return None

    def belongs(self, person: str, role: str, at: int) -> bool:
        return self.key(person) in self.members.get(role, ())
