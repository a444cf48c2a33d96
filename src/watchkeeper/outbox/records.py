"""What became of deliveries, in the words of the ledger."""

from __future__ import annotations

from typing import Any

from watchkeeper.core.clock import utc_text
from watchkeeper.outbox.model import Attempt, Delivery, Next
from watchkeeper.store.transaction import Transaction

LONGEST_WORDS = 300
"""Characters of an error that are kept."""


def record_attempt(tx: Transaction, one: Delivery, then: Next, attempt: Attempt) -> None:
    """Record how an attempt ended, unless that nobody needs to know."""
    status = f" ({attempt.status})" if attempt.status else ""
    tries = f"{one.attempts} attempt{'' if one.attempts == 1 else 's'}"
    why = (attempt.error or "no answer")[:LONGEST_WORDS] + status
    counted: dict[str, Any] = {"attempts": one.attempts, "status": attempt.status}
    notice = one.kind == "notice"
    who = f"{one.recipient} by {one.target}" if one.recipient else f"channel {one.target}"
    if then.state == "sent":
        text = f"{words_of(one)} delivered{status} after {tries}"
        record(tx, one, "delivery.sent", f"told {who}" if notice else text, **counted)
    elif then.state == "dead":
        text = f"could not tell {who}" if notice else f"{words_of(one)} was given up"
        record(tx, one, "delivery.dead", f"{text} after {tries}: {why}", **counted)
    elif then.state == "unknown":
        text = f"nobody knows whether {words_of(one)} arrived: {why}"
        record(tx, one, "delivery.unknown", text, **counted)
    elif one.attempts == 1 and then.counts and then.next_at is not None:
        text = f"could not tell {who}" if notice else f"{words_of(one)} failed"
        text += f": {why}; tried again at {utc_text(then.next_at)}"
        record(tx, one, "delivery.failed", text, **counted)
    else:
        tx.silent("that it is retried is on record; that nobody needs to be told changes nothing")


def words_of(one: Delivery) -> str:
    """Name a delivery by its target and recipient."""
    if one.kind == "webhook":
        return f"callback to {one.target}"
    to = f" to {one.recipient}" if one.recipient else ""
    return f"notice{to} by {one.target}"


def record(
    tx: Transaction, one: Delivery, type_: str, text: str, *, actor: str = "plane", **body: Any
) -> None:
    """Record an event of a delivery, which its request's timeline shows too."""
    tx.record(
        type_,
        actor=actor,
        subject=f"delivery/{one.id}",
        agent=one.agent,
        run=one.run,
        request=one.request,
        # which entry it tells of, so that it can be found from there
        body={"kind": one.kind, "target": one.target, "event": one.event, **body, "text": text},
    )
