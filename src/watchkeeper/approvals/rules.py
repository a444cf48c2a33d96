"""Who may vote, what votes amount to, and which states follow which. No clock, no storage."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass

from watchkeeper.approvals.model import Barrier, TimeoutOutcome
from watchkeeper.approvals.people import People, Voter
from watchkeeper.core.clock import MICROSECONDS, utc_text
from watchkeeper.core.errors import Conflict
from watchkeeper.oncall.model import Level, Position
from watchkeeper.oncall.rules import covers
from watchkeeper.wire.quorum import Groups, is_met
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


@dataclass(frozen=True, slots=True)
class Ballot:
    """What the rules need to know of a request to say who may vote."""

    state: RequestState
    decide_by: int
    level: int
    levels: Sequence[Level]
    created_at: int
    excluded: Set[str]
    """Who may not vote, as :func:`excluded_keys` writes it."""
    groups: Groups = ()
    """Who must agree; the levels stand in for the first."""
    decided_by: str | None = None
    decided_at: int | None = None
    counts_from: int | None = None
    """When levels begin to count; None: when it was made."""

    @property
    def asked(self) -> tuple[str, ...]:
        """The roles asked so far; whoever was asked stays able to vote."""
        return asked_at(self.level, self.levels, self.groups)


def follows(state: RequestState, then: RequestState) -> bool:
    """Whether one state may lead to another."""
    return then in _NEXT[state]


def asked_at(level: int, levels: Sequence[Level], groups: Groups) -> tuple[str, ...]:
    """Return the roles asked once a level is reached: the levels', and every other group's."""
    asked = [one.role for one in levels[:level] if one.role]
    return tuple(dict.fromkeys((*asked, *(role for role, _ in groups[1:]))))


def excluded_keys(
    principals: Iterable[str], delegates: Iterable[str], people: People
) -> frozenset[str]:
    """Return who may not vote: principals under every name, and their delegates.

    A principal also stands there as `=KEY`: whoever delegates to or from one is excluded too
    from the moment that they do, which does not hold for those of a delegate.
    """
    keys = {key for name in principals if name for key in people.names(name)} - {""}
    others = {key for name in delegates for key in people.names(name)} - {""}
    return frozenset(keys | others | {f"={key}" for key in keys})


def why_excluded(excluded: Set[str], voter: Voter) -> str | None:
    """Say why somebody may not vote: whose it is, by any name, or whose votes they share."""
    for one in (voter, *((voter.acting_for,) if voter.acting_for else ())):
        if any(f"={key}" in excluded for key in one.keys):
            return f"{one.name} asked for this or it is done on their behalf"
        if not excluded.isdisjoint(one.keys) or any(f"={key}" in excluded for key in one.linked):
            return f"{one.name} shares votes, by delegation, with whom this is asked by or done for"
    return None


def is_excluded(excluded: Set[str], voter: Voter) -> bool:
    """Whether somebody may not vote."""
    return why_excluded(excluded, voter) is not None


def why_over(ballot: Ballot, now: int) -> Barrier | None:
    """Say why nobody may decide any more, or return None."""
    if ballot.state != "pending":
        return Barrier("already_decided", decided_words(ballot), "nothing is left to decide")
    if now >= ballot.decide_by:
        return Barrier(
            "expired",
            f"its time ran out at {utc_text(ballot.decide_by)}",
            "the agent may ask again",
        )
    return None


def why_not(ballot: Ballot, voter: Voter, *, voted: bool, now: int) -> Barrier | None:
    """Say why a person may not vote now, or return None if they may.

    `voted`: whether they, or whom they vote for, have voted.
    """
    over = why_over(ballot, now)
    if over is not None:
        return over
    name = voter.name
    excluded = why_excluded(ballot.excluded, voter)
    if excluded is not None:
        return Barrier("separation_of_duties", excluded, "somebody else has to decide")
    if voted:
        other = f" or {voter.acting_for.name}" if voter.acting_for else ""
        return Barrier(
            "already_voted",
            f"{name}{other} has voted; one vote a person",
            "the others decide now; say more with `watchkeeper requests comment`",
        )
    if any(covers(voter.roles, role) for role in ballot.asked):
        return None
    for level in ballot.levels[ballot.level :]:
        if level.role and covers(voter.roles, level.role):
            since = ballot.created_at if ballot.counts_from is None else ballot.counts_from
            at = utc_text(since + level.after_seconds * MICROSECONDS)
            return Barrier(
                "not_asked_yet", f"{level.role} is asked at {at}", "escalate to be asked now"
            )
    asked = " or ".join(ballot.asked)
    return Barrier(
        "role_missing",
        f"this asks {asked}, and {name} holds none of them now"
        if len(ballot.asked) > 1
        else f"this asks {asked}, and {name} does not hold it now",
        "have somebody decide who does: `watchkeeper oncall show` says who holds what",
    )


def decided_words(ballot: Ballot) -> str:
    """Say who decided a request and when."""
    at = utc_text(ballot.decided_at or ballot.created_at)
    if ballot.state == "expired":
        return f"nobody decided it in time; it expired at {at}"
    by = ballot.decided_by or "the plane"
    if ballot.state == "superseded":
        return f"{by} put another in its place at {at}"
    verbs = {"denied": "rejected", "revoked": "revoked", "cancelled": "cancelled"}
    verb = verbs.get(ballot.state, "approved")
    return f"{by} {verb} it at {at}"


@dataclass(frozen=True, slots=True)
class Cast:
    """One vote as it counts: by whom, and which asked roles they held when they cast it."""

    verdict: Verdict
    people: frozenset[str]
    """The keys of the voter and of whom they voted for."""
    held: Set[str]


def stands_for(held: Set[str], levels: Sequence[Level], groups: Groups) -> frozenset[str]:
    """Return the groups in which a person with some roles may count; levels are of the first."""
    found = {role for role, _ in groups[1:] if role in held}
    first = groups[0][0]
    if first in held or any(level.role in held for level in levels if level.role):
        found.add(first)
    return frozenset(found)


def agreed(
    votes: Iterable[Cast], levels: Sequence[Level], groups: Groups
) -> Iterator[frozenset[str]]:
    """Yield for each distinct person who approved the groups in which they may count.

    A vote of somebody who voted already, under another name or for another, is not counted.
    """
    seen: set[str] = set()
    for vote in votes:
        if vote.verdict == "approve" and seen.isdisjoint(vote.people):
            seen |= vote.people
            yield stands_for(vote.held, levels, groups)


def tally(votes: Collection[Cast], levels: Sequence[Level], groups: Groups) -> RequestState | None:
    """Return the state that votes lead to. Any rejection decides; else all groups must be full."""
    if any(vote.verdict != "approve" for vote in votes):
        return "denied"
    return "approved" if is_met(agreed(votes, levels, groups), groups) else None


def why_short(held: Groups, wanted: Groups, later: Iterable[str] = ()) -> str | None:
    """Say what an earlier quorum lacks of the one that is asked for now, or return None.

    `later` are the roles that are asked later for the first group of what is wanted: as many
    of one of them are as good.
    """
    have = dict(held)
    for place, (role, count) in enumerate(wanted):
        best = max(have.get(one, 0) for one in (role, *(later if place == 0 else ())))
        if best < count:
            return f"{count} of {role} must agree by now, where {best or 'none'} had to"
    return None


def state_at_deadline(outcome: TimeoutOutcome) -> RequestState:
    """Return the state in which a request ends that nobody decided in time."""
    return "approved" if outcome == "allow" else "expired"


def check_level(seen: tuple[int, int], position: Position, *, levels: Sequence[Level]) -> None:
    """Raise :class:`Conflict` unless a person who saw a round and level may ask the next."""
    if seen != (position.round, position.level):
        again = f", round {position.round}," if position.round > 1 else ""
        asked = levels[position.level - 1].role or "a channel"
        raise Conflict(
            f"it is at level {position.level} ({asked}){again} since "
            f"{utc_text(position.entered_at)}",
            code="already_escalated",
            remedy="look again before asking the next level",
        )
    if position.level >= len(levels):
        last = next(level.role for level in reversed(levels) if level.role)
        raise Conflict(
            f"{last} is the last level",
            code="no_next_level",
            rule="approval/no_next_level",
            remedy=f"have somebody of {last} decide",
        )
