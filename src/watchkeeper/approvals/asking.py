"""Who is asked when a level is due, and how that is said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from watchkeeper.approvals.coverage import Coverage, alarm, available, lacking, named
from watchkeeper.oncall.model import Entry, EscalationPolicy, Holders
from watchkeeper.oncall.rules import enter
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.quorum import Groups


@dataclass(frozen=True, slots=True)
class Asking:
    """Who is asked from a level on: what a request and its event say of it."""

    entry: Entry
    role: str
    """Of the level; where it has none or nobody holds any, whoever was asked before."""
    held: Holders
    channels: tuple[str, ...]
    """Told now: of the level entered and of those passed over."""
    passed: tuple[str, ...]
    """The roles that nobody held."""
    lacking: tuple[str, ...]
    """The roles for which too few people are there, on any level, to decide it."""
    anybody: bool
    """Whether anybody at all is there for one of the levels."""

    @property
    def people(self) -> str:
        """Who holds the role that is asked now, in brackets."""
        return in_brackets(self.held)

    def words(self, policy: EscalationPolicy) -> str:
        """Say who is asked, at which level, and who was passed over."""
        levels = len(policy.levels)
        at = f" (level {self.entry.level} of {levels})" if levels > 1 else ""
        asked = policy.levels[self.entry.level - 1].role
        if self.entry.empty and self.passed:
            text = f"still asks {self.role}{at}"
        elif asked:
            who = names_in_words(self.held)
            text = f"now asks {self.role}{at}" + (f": {who}" if who else "")
        else:
            text = f"tells {', '.join(self.channels)}{at}; asks {self.role} still"
        if self.passed:
            text += f"; nobody is on call for {', '.join(self.passed)}"
        return text

    def body(self, round: int) -> dict[str, Any]:
        """Return what the event keeps beside its words."""
        return {
            "role": self.role,
            "people": named(self.held),
            "anyone": self.held.anyone,
            "level": self.entry.level,
            "round": round,
            "channels": list(self.channels),
            "passed": list(self.passed),
        }

    def raise_alarm(self, tx: Transaction, row: Row, policy: EscalationPolicy, round: int) -> None:
        """Record it where nobody, or too few, can decide."""
        if self.lacking:
            alarm(
                tx, row, policy, self.lacking,
                anybody=self.anybody, level=self.entry.level, round=round,
            )  # fmt: skip


def ask(
    tx: Transaction,
    coverage: Coverage,
    policy: EscalationPolicy,
    level: int,
    *,
    before: str,
    excluded: frozenset[str],
    groups: Groups,
) -> Asking:
    """Find out who is asked when a level is due; `before` is the role that is asked till then."""
    known: dict[str, Holders] = {}

    def held(role: str) -> Holders:
        if role not in known:
            known[role] = available(tx, coverage, role, excluded)
        return known[role]

    entry = enter(policy, level, lambda role: not held(role))
    entered = policy.levels[entry.level - 1]
    told = [policy.levels[n - 1] for n in entry.passed]
    role = entered.role if entered.role and not (entry.empty and entry.passed) else before
    return Asking(
        entry,
        role,
        held(role),
        tuple(one.channel for one in dict.fromkeys([*told, entered]) if one.channel),
        tuple(one.role for one in told if one.role),
        lacking(policy.levels, groups, held),
        any(held(one.role) for one in policy.levels if one.role),
    )


def in_brackets(held: Holders) -> str:
    """Name the people in words: ` (ada, grace)`; at most five."""
    names = names_in_words(held)
    return f" ({names})" if names else ""


def names_in_words(held: Holders) -> str:
    """Name the people in words, at most five; empty where any known person may hold it."""
    if not held.people:
        return "" if held.anyone else "nobody is on call"
    more = "" if len(held.people) <= 5 else f" and {len(held.people) - 5} more"
    return f"{', '.join(held.people[:5])}{more}"
