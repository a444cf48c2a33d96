"""What is found in agents' telemetry that no gateway knows of: an event once, open until a person
has seen to it.
"""

from __future__ import annotations

from typing import Literal

from watchkeeper.core.errors import Conflict, NotFound
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces.telemetry import rows

Kind = Literal["bypass", "unknown_agent", "unmetered"]
MOST_SUBJECTS = 20
"""Findings of a kind about one agent that are told apart; all others are one more."""
OTHERS = "(others)"
_EVENTS = {
    "bypass": "telemetry.bypassed",
    "unknown_agent": "telemetry.agent_unknown",
    "unmetered": "telemetry.unmetered",
}


def find(
    tx: Transaction,
    kind: Kind,
    agent: str,
    subject: str,
    *,
    owner: str,
    run: str | None,
    trace: str | None,
) -> None:
    """Note what was found; its event is recorded the first time, and again once dismissed."""
    known = rows.find_finding(tx, agent, kind, subject)
    if known is None and rows.count_findings(tx, agent, kind) >= MOST_SUBJECTS:
        subject = OTHERS
        known = rows.find_finding(tx, agent, kind, subject)
    if known is not None:
        rows.found_again(tx, known.finding, run, trace)
        if known.dismissed_at is None:
            tx.silent("it was found before, and nobody has seen to it")
            return
        finding = known.finding
    else:
        finding = tx.new_id("fnd")
        rows.add_finding(
            tx, finding=finding, kind=kind, agent=agent, subject=subject, count=1,
            first_at=tx.now, last_at=tx.now, run=run, trace=trace,
        )  # fmt: skip
    tx.record(
        _EVENTS[kind],
        actor="plane",
        subject=f"agent/{agent}",
        agent=agent,
        run=run,
        body={
            "finding": finding,
            "reported": subject,
            "trace": trace or "",
            "owner": owner,
            "text": words(kind, agent, subject),
        },
    )


def words(kind: str, agent: str, subject: str) -> str:
    """Say what was found."""
    if kind == "bypass":
        return f"{agent} reports a call of {subject} that no gateway saw"
    if kind == "unmetered":
        return f"{agent} reports more tokens ({subject}) than any gateway metered"
    return f"{subject} works with the credentials of {agent}, and no contract names it"


def dismiss(tx: Transaction, finding: str, *, by: str, reason: str) -> None:
    """Take a finding off the list, until it is found again.

    Raises `NotFound`, or `Conflict` where somebody was first.
    """
    row = rows.read_finding(tx, finding)
    if row is None:
        raise NotFound(f"there is no finding {finding!r:.60}")
    if not rows.dismiss(tx, finding, by, reason):
        raise Conflict(f"{row.dismissed_by} dismissed it before", code="dismissed")
    tx.record(
        "telemetry.dismissed",
        actor=by,
        subject=f"agent/{row.agent}",
        agent=row.agent,
        body={"finding": finding, "kind": row.kind, "reported": row.subject, "reason": reason},
    )
