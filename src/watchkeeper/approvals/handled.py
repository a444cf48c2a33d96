"""What became of a request beside its votes: its place among others, what was said of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from watchkeeper.approvals.comments import read_comments
from watchkeeper.approvals.superseding import read_narrowed
from watchkeeper.approvals.suspicious import read_canonical, suspicions
from watchkeeper.core.errors import Invalid
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.requests import Covers


def row_fields(row: Row, cast: Iterable[Row]) -> dict[str, Any]:
    """Return what a list shows of it; `cast` are the votes on it."""
    alone = (vote.person for vote in cast if vote.verdict == "break-glass")
    return {
        "break_glass": bool(row.break_glass),
        "alone_by": next(alone, None),
        "review_due_at": row.review_due_at,
        "reviewed_by": row.reviewed_by,
        "caller_gone": bool(row.caller_gone),
    }


def detail_fields(tx: Transaction, row: Row) -> dict[str, Any]:
    """Return what is shown of it in full."""
    narrowed = read_narrowed(tx, row)
    return {
        **shown_arguments(row),
        "comments": read_comments(tx, row.request),
        "supersedes": row.supersedes,
        "superseded_by": row.superseded_by,
        "narrowed": narrowed.changes if narrowed else (),
        "narrowed_by": narrowed.by if narrowed else None,
        "decided_why": row.decided_why,
        "grant_expires_at": row.grant_expires_at if row.state == "approved" else None,
        "review_verdict": row.review_verdict,
        "review_note": row.review_note,
    }


def shown_arguments(row: Row) -> dict[str, Any]:
    """Return the arguments as the text says that the digest covers, and what is odd about them.

    A text that is not canonical was damaged: nothing is shown in its place.
    """
    try:
        arguments = read_canonical(row.canonical)
    except Invalid as error:
        arguments = {}
        odd: tuple[str, ...] = (f"the stored arguments are damaged, deny this: {error.message}",)
    else:
        odd = suspicions(row.asks, arguments)
        if row.arguments != row.canonical:
            odd = ("the stored arguments differ from what was digested, deny this", *odd)
    covers = None if row.covers is None else Covers.model_validate_json(row.covers)
    return {
        "arguments": arguments,
        "canonical": row.canonical,
        "covers": covers,
        "suspicious": odd,
    }
