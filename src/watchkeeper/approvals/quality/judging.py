"""People say later whether a decision was right."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import bindparam, literal_column, select

from watchkeeper.approvals.people import People
from watchkeeper.approvals.quality.tables import judgements
from watchkeeper.approvals.rows import find, record
from watchkeeper.approvals.tables import votes
from watchkeeper.core.errors import Conflict, Forbidden
from watchkeeper.store.statement import Statement, insert
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.requests import Judgement

NOT_DECIDED = frozenset({"pending", "cancelled", "revoked", "superseded"})
"""States in which there is no decision of a person, or of a deadline, to judge."""
_MOST_SHOWN = 100

_put = insert(judgements)
_PUT = Statement(
    _put.values({column.name: bindparam(column.name) for column in judgements.c})
    .on_conflict_do_update(
        index_elements=["request", "person_key"],
        set_={name: _put.excluded[name] for name in ("verdict", "note", "at")},
    )
)  # fmt: skip
_VOTERS = Statement(
    select(votes.c.person, votes.c.acting_for).where(votes.c.request == bindparam("request_is"))
)
_READ = Statement(
    select(judgements)
    .where(judgements.c.request == bindparam("request_is"))
    .order_by(judgements.c.at, judgements.c.person)
    .limit(literal_column(str(_MOST_SHOWN)))
)


def judge(
    tx: Transaction,
    request: str,
    *,
    person: str,
    people: People,
    verdict: Literal["right", "wrong"],
    note: str | None = None,
) -> None:
    """Keep what a person says of a decision; said again, it replaces what they said.

    Raises `NotFound`; `Conflict` (`not_decided`) if there is no decision; `Forbidden` for whoever
    voted on it, under whatever name.
    """
    row = find(tx, request)
    if row.state in NOT_DECIDED:
        raise Conflict(
            f"request {request} is {row.state}: there is no decision to judge",
            code="not_decided",
            rule="judgement/decided",
        )
    keys = people.names(person)
    voters = {name for vote in _VOTERS.all(tx, request_is=request) for name in vote if name}
    if any(people.key(voter) in keys for voter in voters):
        raise Forbidden(
            "you voted on it, so somebody else has to judge it",
            rule="judgement/own-vote",
            remedy="have somebody judge it who did not decide it",
        )
    _PUT.run(
        tx,
        request=request,
        person_key=people.key(person),
        person=person,
        verdict=verdict,
        note=note,
        at=tx.now,
    )
    text = f"{person} judged the decision {verdict}" + (f": {note}" if note else "")
    record(tx, row, "request.judged", actor=person, text=text, verdict=verdict)


def read_judgements(tx: Transaction, request: str) -> tuple[Judgement, ...]:
    """Return what people said of a decision, oldest first; at most 100."""
    return tuple(
        Judgement(person=row.person, verdict=row.verdict, note=row.note, at=row.at)
        for row in _READ.all(tx, request_is=request)
    )
