"""What comes of telling a runtime what was decided: applied, gone, failed, or to be told again."""

from __future__ import annotations

from collections.abc import Sequence

from watchkeeper.approvals.cancelling import cancel
from watchkeeper.approvals.fulfilling import came_to_nothing, done
from watchkeeper.approvals.rows import find, record
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.text import make_safe
from watchkeeper.runtimes.interrupts import END, POSTPONE, ROW, Attempt
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.runtimes import AnswerResult

MOST_FAILURES = 5
_LONGEST_WAIT_SECONDS = 300
_GIVEN_UP_SECONDS = 86_400


def settle(tx: Transaction, attempt: Attempt, result: AnswerResult | None, detail: str) -> None:
    """Keep what came of one try; what nobody knows, or failed, is tried again."""
    row, approves = attempt.row, attempt.reply.choice == "approve"
    detail = str(make_safe(detail, limit=300))
    failed = result in ("failed", "not supported")
    final = result == "not supported" or attempt.number >= MOST_FAILURES
    old = tx.now - row.opened_at > _GIVEN_UP_SECONDS * MICROSECONDS and attempt.number > 20
    if (result is None and not old) or (failed and not final):
        wait = min(2 ** min(attempt.number, 10), _LONGEST_WAIT_SECONDS)
        tx.silent("it is tried again")
        POSTPONE.run(
            tx,
            request_is=row.request,
            attempts_were=attempt.number,
            at=tx.now + wait * MICROSECONDS,
            to_detail=detail or result,
        )
        return
    state = "applied" if result == "applied" else "failed"
    if result in ("already answered", "gone"):
        state = "gone"
    ended = END.run(
        tx,
        request_is=row.request,
        state_is="applying",
        attempts_were=attempt.number,
        to_state=state,
        at=tx.now,
        to_detail=detail,
    )
    asked = find(tx, row.request)
    if not ended:
        tx.silent("another try has settled it")
        return
    where = f"runtime {row.runtime}"
    if state == "applied" and approves and asked.state == "approved":
        done(tx, asked, by=f"runtime/{row.runtime}", text=f"{where} lets the run go on")
        return
    if state == "applied":
        verb = "the approval" if approves else "the rejection"
        text = f"{verb} was carried to {where}"
    elif state == "gone":
        text = f"it was answered in {where} meanwhile, or waits there no more"
        if result == "gone":
            text = f"{where} does not know the run any more"
    else:
        text = f"it could not be answered in {where}: {detail or result or 'nobody knows why'}"
    if approves and asked.state == "approved":
        came_to_nothing(tx, asked, "cancelled" if state == "gone" else "failed", text=text)
        return
    record(tx, asked, f"runtime.interrupt_{state}", actor="plane", text=text)


def withdraw(tx: Transaction, runtime: str, gone: Sequence[str]) -> None:
    """End requests whose interrupts wait no more, though nobody decided them here."""
    tx.silent("what was decided meanwhile is carried, and found to be gone")
    text = f"it was answered in runtime {runtime}, or waits there no more"
    for request in gone:
        row = ROW.first(tx, request_is=request)
        if row is None or row.state != "pending":
            continue
        if cancel(tx, request, by=f"runtime/{runtime}", text=text):
            END.run(
                tx,
                request_is=request,
                state_is="pending",
                attempts_were=row.attempts,
                to_state="gone",
                at=tx.now,
                to_detail=text,
            )


def words_of(asked: Row) -> str | None:
    """Return what is said to the run with a decision."""
    by = str(asked.decided_by or "").removeprefix("person/")
    match asked.state:
        case "approved":
            return None
        case "expired":
            return "nobody decided in time"
        case "revoked":
            return "it was taken back or stopped by a person"
    said = f": {asked.decided_why}" if asked.decided_why else ""
    return f"rejected by {by}{said}" if by else "rejected"
