"""Casting votes: who may, what a vote takes, and what the votes amount to."""

from __future__ import annotations

import json
from collections.abc import Sequence, Set

from sqlalchemy import bindparam, select, update

from watchkeeper.approvals.deciding import decide
from watchkeeper.approvals.delegations import voters_of
from watchkeeper.approvals.display import sealed_display
from watchkeeper.approvals.model import Barrier
from watchkeeper.approvals.people import STRANGERS, People, Voter, person_key
from watchkeeper.approvals.rows import ballot_of, find, groups_of, policy_of, record
from watchkeeper.approvals.rules import Ballot, Cast, agreed, tally, why_not
from watchkeeper.approvals.signing import check_deciding, check_seen
from watchkeeper.approvals.tables import requests, votes
from watchkeeper.core.errors import Conflict, Forbidden
from watchkeeper.oncall.rules import covers
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.quorum import fill
from watchkeeper.wire.requests import Channel, RequestState, Verdict

ADD_VOTE = Statement(votes.insert())
_VOTES = Statement(
    select(votes)
    .where(votes.c.request == bindparam("request_is"))
    .order_by(votes.c.at, votes.c.person_key)
)
_COUNT_APPROVALS = Statement(
    update(requests)
    .where(requests.c.request == bindparam("request_is"))
    .values(approvals=bindparam("count"))
)
_VERBS: dict[Verdict, str] = {
    "approve": "approves",
    "reject": "rejects",
    "changes": "asks for changes",
}


def cast_vote(
    tx: Transaction,
    request: str,
    *,
    person: str,
    roles: Set[str],
    verdict: Verdict,
    digest: str,
    reason: str | None = None,
    view_seconds: float | None = None,
    acting_for: str | None = None,
    channel: Channel | None = None,
    key: str | None = None,
    signature: str | None = None,
    people: People = STRANGERS,
) -> RequestState:
    """Cast a person's vote and return the state that the request is in then.

    `roles` are those the person holds now, `digest` is of what was on their screen, `key` the
    fingerprint of the key whose `signature` over this vote was verified, if it has one.
    `acting_for` names whose vote it is, where they delegated it. One rejection denies; approval
    takes distinct people for every group. Raises `NotFound`; `Conflict` with code
    `already_decided`, `expired`, `already_voted` or `stale_digest`; `Forbidden` with code
    `separation_of_duties`, `role_missing`, `not_asked_yet`, `not_delegated`,
    `signature_required`, `reason_required`, `view_required` or `locked`.
    """
    check_unlocked(people, person, acting_for)
    row = find(tx, request)
    earlier = read_votes(tx, request)
    ballot = ballot_of(row)
    voter = _voter(voters_of(tx, person, roles, people), acting_for, people)
    barrier = why_not(ballot, voter, voted=has_voted(earlier, voter, people), now=tx.now)
    if barrier is not None:
        raise refusal(barrier)
    check_seen(row, digest)
    check_deciding(row, verdict, key=key, reason=reason, view_seconds=view_seconds)
    _add(
        tx,
        row,
        ballot,
        voter,
        people,
        verdict=verdict,
        reason=reason,
        view_ms=None if view_seconds is None else round(view_seconds * 1000),
        key=key,
        signature=signature,
        channel=channel,
    )
    return _decide_by_votes(tx, row, voter, reason, people)


def check_unlocked(people: People, *persons: str | None) -> None:
    """Raise `Forbidden` (`locked`) where a lock is on somebody who would decide."""
    for person in persons:
        lock = people.locked(person) if person is not None else None
        if lock is not None:
            raise Forbidden(
                f"{person} is locked, and decides nothing",
                code="locked",
                rule=f"lock/{lock}",
                remedy="nothing until another person lifts the lock",
            )


def read_votes(tx: Transaction, request: str) -> list[Row]:
    """Return the votes on a request in the order they were cast."""
    return _VOTES.all(tx, request_is=request)


def has_voted(cast: Sequence[Row], voter: Voter, people: People) -> bool:
    """Whether a person, or whom they vote for, has voted, in whatever guise."""
    return any(not voter.both.isdisjoint(_keys(vote, people)) for vote in cast)


def count_votes(row: Row, cast: Sequence[Row], people: People) -> list[Cast]:
    """Return votes as they count for a request: those of somebody who is locked fill no group."""
    first = frozenset({groups_of(row)[0][0]})

    def held(vote: Row) -> frozenset[str]:
        if any(people.locked(one) for one in (vote.person, vote.acting_for) if one):
            return frozenset()
        return first if vote.roles is None else frozenset(json.loads(vote.roles)["held"])

    return [Cast(vote.verdict, _keys(vote, people), held(vote)) for vote in cast]


def filled(row: Row, cast: Sequence[Cast]) -> tuple[int, ...]:
    """Return how many people each group of a request has."""
    groups = groups_of(row)
    return fill(agreed(cast, policy_of(row).levels, groups), groups)


def refusal(barrier: Barrier) -> Conflict | Forbidden:
    """Return the error that says why somebody may not vote."""
    conflict = barrier.code in ("already_decided", "expired", "already_voted")
    kind = Conflict if conflict else Forbidden
    return kind(
        barrier.text, code=barrier.code, remedy=barrier.remedy, rule=f"approval/{barrier.code}"
    )


def _voter(ways: Sequence[Voter], acting_for: str | None, people: People) -> Voter:
    if acting_for is None:
        return ways[0]
    for way in ways[1:]:
        # by their own name, which a signature on the vote says too
        if way.acting_for and person_key(acting_for) == people.key(way.acting_for.person):
            return way
    raise refusal(
        Barrier(
            "not_delegated",
            f"{acting_for} has delegated nothing to {ways[0].name} now",
            "see `watchkeeper delegations list`; whose vote it is has to delegate it",
        )
    )


def _add(
    tx: Transaction,
    row: Row,
    ballot: Ballot,
    voter: Voter,
    people: People,
    *,
    verdict: Verdict,
    reason: str | None,
    view_ms: int | None,
    key: str | None,
    signature: str | None,
    channel: Channel | None,
) -> None:
    held = [role for role in ballot.asked if covers(voter.roles, role)]
    owed = voter.acting_for
    acting_for = None if owed is None else f"person/{people.key(owed.person)}"
    whose = voter if owed is None else owed
    known = {
        "held": held,
        "backed": [role for role in held if people.belongs(whose.name, role, tx.now)],
        "documents": [
            one.name for one in (voter, *((owed,) if owed else ())) if people.documented(one.name)
        ],
    }
    ADD_VOTE.run(
        tx,
        request=row.request,
        person_key=people.key(voter.person),
        person=voter.person,
        role=held[0],
        verdict=verdict,
        reason=reason,
        digest=row.digest,
        view_ms=view_ms,
        at=tx.now,
        acting_for=acting_for,
        roles=json.dumps(known),
        signature=signature,
        key=key,
        channel=channel,
    )
    text = f"{voter.person} {_VERBS[verdict]} as {held[0]}"
    text += f" for {acting_for}" if acting_for else ""
    text += ", signed" if key else ""
    said = {
        "acting_for": acting_for, "key": key, "signature": signature, "channel": channel,
        "view_ms": view_ms,
    }  # fmt: skip
    record(
        tx,
        row,
        "vote.cast",
        actor=voter.person,
        text=text + (f": {reason}" if reason else ""),
        verdict=verdict,
        role=held[0],
        roles=held,
        reason=reason,
        level=row.level,
        display=sealed_display(tx, row),
        **{name: value for name, value in said.items() if value is not None},
    )


def _decide_by_votes(
    tx: Transaction, row: Row, voter: Voter, reason: str | None, people: People
) -> RequestState:
    cast = read_votes(tx, row.request)
    counted = count_votes(row, cast, people)
    _COUNT_APPROVALS.run(tx, request_is=row.request, count=sum(filled(row, counted)))
    state = tally(counted, policy_of(row).levels, groups_of(row))
    if state is None:
        return "pending"
    by = voter.person if state == "denied" else ", ".join(vote.person for vote in cast)
    asked = any(vote.verdict == "changes" for vote in cast)
    verb = "changes requested" if asked else None
    why = reason
    if state == "approved" and not reason:
        # the agent is told what somebody said of it, whoever agreed last
        why = next((vote.reason for vote in reversed(cast) if vote.reason), None)
    if not decide(tx, row, state, by=by, why=why, verb=verb):
        raise Conflict("it was decided just now", code="already_decided", remedy="look again")
    return state


def _keys(vote: Row, people: People) -> frozenset[str]:
    keys = people.names(vote.person) | {vote.person_key}
    return keys if vote.acting_for is None else keys | people.names(vote.acting_for)
