"""Who may vote, what votes amount to, and which states follow which. No clock, no storage."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Sequence, Set
from dataclasses import dataclass

from watchkeeper.approvals.model import Barrier, TimeoutOutcome
from watchkeeper.core.clock import MICROSECONDS, utc_text
from watchkeeper.core.errors import Conflict
from watchkeeper.oncall.model import Level
from watchkeeper.oncall.rules import covers
from watchkeeper.wire.requests import RequestState, Verdict

_NEXT: dict[RequestState, frozenset[RequestState]] = {
    "pending": frozenset({"approved", "denied", "expired", "revoked", "cancelled", "superseded"}),
    "approved": frozenset({"redeemed", "lapsed", "revoked", "cancelled", "superseded"}),
    "redeemed": frozenset({"succeeded", "failed", "unknown"}),
    "denied": frozenset(),
    "expired": frozenset(),
    "revoked": frozenset(),
    "cancelled": frozenset(),
    "superseded": frozenset(),
    "lapsed": frozenset(),
    "succeeded": frozenset(),
    "failed": frozenset(),
    "unknown": frozenset(),
}
TERMINAL: frozenset[RequestState] = frozenset(s for s, after in _NEXT.items() if not after)


@dataclass(frozen=True, slots=True)
class Ballot:
    """What the rules need to know of a request to say who may vote."""

    state: RequestState
    decide_by: int
    level: int
    levels: Sequence[Level]
    created_at: int
    excluded: Set[str]
    """Keys (see :func:`person_key`) of people who may not vote."""
    decided_by: str | None = None
    decided_at: int | None = None

    @property
    def asked(self) -> tuple[str, ...]:
        """The roles asked so far; whoever was asked stays able to vote."""
        return tuple(level.role for level in self.levels[: self.level])


def follows(state: RequestState, then: RequestState) -> bool:
    """Whether one state may lead to another."""
    return then in _NEXT[state]


def person_key(principal: str) -> str:
    """Return the form in which two names of one person are equal.

    `spiffe://…/person/Ada`, `person/ada` and `ada` are the same; agents keep their kind.
    """
    name = unicodedata.normalize("NFKC", principal).strip().casefold()
    if name.startswith("spiffe://"):
        name = name.removeprefix("spiffe://").partition("/")[2]
    return name.removeprefix("person/")


def excluded_keys(agent: str, on_behalf_of: str | None, others: Iterable[str]) -> frozenset[str]:
    """Return the keys of all who may not vote: the requester, whom it acts for, and aliases."""
    names = [f"agent/{agent}", *others, *([on_behalf_of] if on_behalf_of else [])]
    return frozenset(person_key(name) for name in names) - {""}


def why_not(
    ballot: Ballot, person: str, roles: Set[str], *, voted: bool, now: int
) -> Barrier | None:
    """Say why a person may not vote now, or return None if they may."""
    if ballot.state != "pending":
        return Barrier("already_decided", decided_words(ballot), "nothing is left to decide")
    if now >= ballot.decide_by:
        return Barrier(
            "expired",
            f"its time ran out at {utc_text(ballot.decide_by)}",
            "the agent may ask again",
        )
    name = person.removeprefix("person/")
    if person_key(person) in ballot.excluded:
        return Barrier(
            "separation_of_duties",
            f"{name} asked for this or it is done on their behalf",
            "somebody else has to decide",
        )
    if voted:
        return Barrier("already_voted", f"{name} has voted; one vote a person", None)
    if any(covers(roles, role) for role in ballot.asked):
        return None
    for level in ballot.levels[ballot.level :]:
        if covers(roles, level.role):
            at = utc_text(ballot.created_at + level.after_seconds * MICROSECONDS)
            return Barrier(
                "not_asked_yet", f"{level.role} is asked at {at}", "escalate to be asked now"
            )
    asked = " or ".join(ballot.asked)
    return Barrier(
        "role_missing",
        f"this asks {asked}, and {name} is no member",
        f"have a member decide; the `role` document of {asked} names them",
    )


def decided_words(ballot: Ballot) -> str:
    """Say who decided a request and when."""
    at = utc_text(ballot.decided_at or ballot.created_at)
    if ballot.state == "expired":
        return f"nobody decided it in time; it expired at {at}"
    by = ballot.decided_by or "the plane"
    verbs = {"denied": "rejected", "revoked": "revoked", "cancelled": "cancelled"}
    verb = verbs.get(ballot.state, "approved")
    return f"{by} {verb} it at {at}"


def tally(verdicts: Collection[Verdict], quorum: int) -> RequestState | None:
    """Return the state that votes lead to; each is of another person. Any rejection decides."""
    if "reject" in verdicts or "changes" in verdicts:
        return "denied"
    return "approved" if len(verdicts) >= quorum else None


def state_at_deadline(outcome: TimeoutOutcome) -> RequestState:
    """Return the state in which a request ends that nobody decided in time."""
    return "approved" if outcome == "allow" else "expired"


def check_level(seen: int, *, level: int, levels: Sequence[Level], asked_at: int) -> None:
    """Raise :class:`Conflict` unless a person who saw level ``seen`` may ask the next one."""
    if seen != level:
        raise Conflict(
            f"it is at level {level} ({levels[level - 1].role}) since {utc_text(asked_at)}",
            code="already_escalated",
            remedy="look again before asking the next level",
        )
    if level >= len(levels):
        raise Conflict(
            f"{levels[-1].role} is the last level",
            code="no_next_level",
            remedy=f"have somebody of {levels[-1].role} decide",
        )
