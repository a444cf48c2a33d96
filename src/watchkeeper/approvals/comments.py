"""What people say of a request, for everybody who decides it."""

from __future__ import annotations

from sqlalchemy import bindparam, func, select

from watchkeeper.approvals.rows import find, record
from watchkeeper.approvals.tables import comments
from watchkeeper.core.errors import Conflict
from watchkeeper.store.statement import Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.requests import CommentRow

MOST = 200
"""How many comments one request takes."""

_ADD = Statement(comments.insert())
_COUNT = Statement(
    select(func.count()).select_from(comments).where(comments.c.request == bindparam("request_is"))
)
_OF = Statement(
    select(comments.c.person, comments.c.text, comments.c.at)
    .where(comments.c.request == bindparam("request_is"))
    .order_by(comments.c.comment)
    .limit(MOST)
)


def comment(tx: Transaction, request: str, *, person: str, text: str) -> None:
    """Keep what a person says of a request, whatever its state.

    Raises `NotFound`, or `Conflict` (`too_many_comments`).
    """
    row = find(tx, request)
    if _COUNT.scalar(tx, request_is=request) >= MOST:
        raise Conflict(
            f"it has {MOST} comments, which is all that it takes",
            code="too_many_comments",
            remedy="decide it, or talk elsewhere",
        )
    _ADD.run(tx, comment=tx.new_id("cmt"), request=request, person=person, text=text, at=tx.now)
    record(tx, row, "request.commented", actor=person, text=f"{person} says: {text}", said=text)


def read_comments(tx: Transaction, request: str) -> tuple[CommentRow, ...]:
    """Return what was said of a request, oldest first."""
    return tuple(
        CommentRow(person=row.person, text=row.text, at=row.at)
        for row in _OF.all(tx, request_is=request)
    )
