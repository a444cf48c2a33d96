"""What entries commit to, held against the vault: what is kept, what is erased."""

from __future__ import annotations

import hmac

from sqlalchemy import select

from watchkeeper.ledger.claims import OnProgress
from watchkeeper.store.journal import events, ledger_head
from watchkeeper.store.marks import commitments_of
from watchkeeper.store.transaction import Transaction

_AT_ONCE = 500


def compare_commitments(tx: Transaction, on_progress: OnProgress | None = None) -> tuple[str, ...]:
    """Return in words how many personal values there are and were, and which were changed.

    A value that was changed alters no entry: the entry shows that it was.
    """
    seen: set[str] = set()
    counts = {"kept": 0, "erased": 0, "not kept": 0}
    altered: list[int] = []
    after, head = 0, tx.connection.scalar(select(ledger_head.c.sequence)) or 0
    while True:
        rows = tx.connection.execute(
            select(events.c.sequence, events.c.body)
            .where(events.c.sequence > after, events.c.body.contains('"personal":{'))
            .order_by(events.c.sequence)
            .limit(_AT_ONCE)
        ).all()
        fresh: dict[str, tuple[int, str]] = {}
        for row in rows:
            for value, commitment in commitments_of(row.body).items():
                if value not in seen:
                    seen.add(value)
                    fresh[value] = row.sequence, commitment
        for value, one in tx.vault.open(tx, fresh).items():
            counts[one.state] += 1
            sequence, commitment = fresh[value]
            if one.salt is not None and one.text is not None:
                made = hmac.digest(one.salt, one.text.encode(), "sha256").hex()
                if not hmac.compare_digest(made, commitment):
                    altered.append(sequence)
        if len(rows) < _AT_ONCE:
            break
        after = rows[-1].sequence
        if on_progress is not None:
            on_progress("entries for personal values", after, head)
    if not seen:
        return ()
    told = ", ".join(f"{count:,} {state}" for state, count in counts.items() if count)
    found = f"personal values that entries commit to: {told}"
    if altered:
        return found, f"the vault has other values than entries {altered[:5]} commit to"
    return (found,)
