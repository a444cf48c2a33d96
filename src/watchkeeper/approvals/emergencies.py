"""Breaking the glass: one person approves alone at once, and another reviews it after."""

from __future__ import annotations

from collections.abc import Set

from sqlalchemy import bindparam, literal_column, select, update

from watchkeeper.approvals.deciding import decide
from watchkeeper.approvals.delegations import voter_of
from watchkeeper.approvals.display import sealed_display
from watchkeeper.approvals.people import STRANGERS, People
from watchkeeper.approvals.rows import IS_PENDING, ballot_of, find, find_or_none, record
from watchkeeper.approvals.rules import is_excluded, why_not
from watchkeeper.approvals.signing import check_seen, check_signed, deciding_of
from watchkeeper.approvals.tables import requests, votes
from watchkeeper.approvals.voting import ADD_VOTE, check_unlocked, refusal
from watchkeeper.core.clock import MICROSECONDS, utc_text
from watchkeeper.core.errors import Conflict, Forbidden
from watchkeeper.oncall.rules import covers
from watchkeeper.store import timers
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.requests import ReviewVerdict

ALONE_GRANT_SECONDS = 120
"""How long an approval that one person gave alone may wait to be used."""
REVIEW_SECONDS = 86_400
TIMER = "approvals.review"
"""The kind of the timer that tells when a review is overdue."""
VERDICT = "break-glass"

_MARK = Statement(
    update(requests)
    .where(requests.c.request == bindparam("request_is"), IS_PENDING)
    .values(
        break_glass=1,
        review_due_at=bindparam("due_at"),
        grant_seconds=bindparam("seconds"),
    )
)
_OVERDUE = Statement(
    select(requests.c.request, requests.c.review_due_at, votes.c.person)
    .join(votes, (votes.c.request == requests.c.request) & (votes.c.verdict == VERDICT))
    .where(
        requests.c.break_glass == literal_column("1"),
        requests.c.reviewed_by.is_(None),
        requests.c.review_due_at <= bindparam("now"),
    )
    .order_by(requests.c.review_due_at)
)
_ALONE = Statement(
    select(votes.c.person).where(
        votes.c.request == bindparam("request_is"), votes.c.verdict == VERDICT
    )
)
_REVIEW = Statement(
    update(requests)
    .where(requests.c.request == bindparam("request_is"), requests.c.reviewed_by.is_(None))
    .values(
        reviewed_by=bindparam("who"),
        review_verdict=bindparam("verdict"),
        review_note=bindparam("said"),
    )
)


def break_glass(
    tx: Transaction,
    request: str,
    *,
    person: str,
    digest: str,
    reason: str,
    key: str | None = None,
    signature: str | None = None,
    people: People = STRANGERS,
) -> None:
    """Approve a pending request alone; it must be used soon, and is to be reviewed in a day.

    No role is needed, but nobody approves what is theirs. `key` is the fingerprint of the key
    whose `signature` was verified. Raises `NotFound`; `Conflict` with code `already_decided`,
    `expired` or `stale_digest`; `Forbidden` with code `separation_of_duties`,
    `break_glass_refused`, `review_overdue`, `signature_required` or `locked`.
    """
    check_unlocked(people, person)
    row = find(tx, request)
    ballot = ballot_of(row)
    voter = voter_of(tx, person, set(ballot.asked), people)
    barrier = why_not(ballot, voter, voted=False, now=tx.now)
    if barrier is not None:
        raise refusal(barrier)
    check_seen(row, digest)
    _check_allowed(tx, row, person, people)
    check_signed(row, key)
    due_at = tx.now + REVIEW_SECONDS * MICROSECONDS
    seconds = min(row.grant_seconds, ALONE_GRANT_SECONDS)
    _MARK.run(tx, request_is=request, due_at=due_at, seconds=seconds)
    ADD_VOTE.run(
        tx,
        **{
            **dict.fromkeys(column.name for column in votes.c),
            "request": request,
            # beside a vote that they may have cast before: it counts for no quorum
            "person_key": f"{VERDICT}/{people.key(person)}",
            "person": person,
            "role": VERDICT,
            "verdict": VERDICT,
            "reason": reason,
            "digest": digest,
            "at": tx.now,
            "signature": signature,
            "key": key,
        },
    )
    asked = " or ".join(ballot.asked)
    record(
        tx,
        row,
        "request.break_glass",
        actor=person,
        text=f"{person} broke the glass and approves it alone: {reason}; somebody else of "
        f"{asked} has to review that by {utc_text(due_at)}",
        reason=reason,
        key=key,
        signature=signature,
        display=sealed_display(tx, row),
        review_due_at=due_at,
    )
    row = find(tx, request)
    verb = "approved alone"
    if not decide(tx, row, "approved", by=person, why=reason, verb=verb, break_glass=True):
        raise Conflict("it was decided just now", code="already_decided", remedy="look again")
    timers.schedule(tx, TIMER, request, due_at)


def who_alone(tx: Transaction, row: Row) -> str:
    """Return who broke the glass for a request, whoever took that back or killed it since."""
    return str(_ALONE.scalar(tx, request_is=row.request) or row.decided_by)


def _check_allowed(tx: Transaction, row: Row, person: str, people: People) -> None:
    if not deciding_of(row).break_glass or row.kind == "standing":
        raise Forbidden(
            f"nobody approves a {row.risk} request alone, not in an emergency either",
            code="break_glass_refused",
            rule=f"risk/{row.risk}/break_glass",
            remedy=f"escalate it; {row.role} is asked now",
        )
    names = people.names(person)
    late = _OVERDUE.all(tx, now=tx.now)
    overdue = next((one for one in late if people.key(one.person) in names), None)
    if overdue is not None:
        raise Forbidden(
            f"{person} broke the glass for {overdue.request}, and nobody reviewed that by "
            f"{utc_text(overdue.review_due_at)}",
            code="review_overdue",
            rule="approval/break-glass",
            remedy=f"have somebody review it: `watchkeeper requests review {overdue.request}`",
        )


def review(
    tx: Transaction,
    request: str,
    *,
    person: str,
    roles: Set[str],
    verdict: ReviewVerdict,
    note: str,
    people: People = STRANGERS,
) -> None:
    """Say of a break-glass approval whether it was justified; once, and by somebody else.

    Raises `NotFound`; `Conflict` with code `nothing_to_review` or `already_reviewed`;
    `Forbidden` with code `separation_of_duties` or `role_missing`.
    """
    row = find(tx, request)
    if not row.break_glass:
        raise Conflict(
            "nobody broke the glass for it", code="nothing_to_review",
            remedy="see `watchkeeper requests list --which review`",
        )  # fmt: skip
    ballot = ballot_of(row)
    voter = voter_of(tx, person, roles, people)
    by = who_alone(tx, row)
    if is_excluded(ballot.excluded, voter) or people.key(by) in voter.keys:
        raise Forbidden(
            f"{person} approved this, asked for it, or it is done on their behalf",
            code="separation_of_duties",
            rule="approval/review",
            remedy="somebody else has to review it",
        )
    later = (level.role for level in ballot.levels if level.role)
    asked = tuple(dict.fromkeys((*ballot.asked, *later)))
    if not any(covers(roles, role) for role in asked):
        raise Forbidden(
            f"a member of {' or '.join(asked)} reviews this, and {person} is none",
            code="role_missing",
            rule="approval/review",
            remedy=f"have one of {' or '.join(asked)} review it",
        )
    if not _REVIEW.run(tx, request_is=request, who=person, verdict=verdict, said=note):
        raise Conflict(
            f"{row.reviewed_by} reviewed it already: {row.review_verdict}",
            code="already_reviewed",
            rule="approval/review",
            remedy="nothing is left to review",
        )
    timers.cancel(tx, TIMER, request)
    text = f"{person} reviewed that {by} broke the glass: {verdict}: {note}"
    record(tx, row, "request.reviewed", actor=person, text=text, verdict=verdict, note=note)


def on_review_due(tx: Transaction, ref: str, due_at: int) -> None:
    """Tell that a review is overdue; its person breaks no glass until it is done."""
    row = find_or_none(tx, ref)
    if row is None or row.reviewed_by is not None:
        tx.silent("it was reviewed")
        return
    by = who_alone(tx, row)
    record(
        tx,
        row,
        "breakglass.overdue",
        actor="plane",
        text=f"nobody reviewed by {utc_text(due_at)} that {by} broke the glass; "
        "until somebody does, they cannot do so again",
        by=by,
        due_at=due_at,
    )
