"""What an agent may say of how an action ended."""

from __future__ import annotations

from watchkeeper.core.errors import Forbidden
from watchkeeper.decide.records import NOBODY_REPORTED
from watchkeeper.identity.runs import facts_of
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction


def check_reporter(tx: Transaction, row: Row, token: str) -> None:
    """Raise `Forbidden` unless a decision is of the token's run, and the agent carries it out."""
    facts = facts_of(tx, token)
    if facts is None or facts.run != row.run:
        raise Forbidden(
            "the decision belongs to another run",
            rule="identity/decision-owner",
            remedy="report with the token of the run that asked",
        )
    if row.performer == "plane":
        raise Forbidden(
            "the plane performs this itself and records how it ended",
            rule="identity/decision-owner",
            remedy="report only what you perform yourself",
        )


def by_agents_word(error: str | None, token: str | None) -> str | None:
    """Tell an agent's own words from what the plane says where nobody reports: that alone may be
    reported again.
    """
    return f"it reports: {error}" if token and error == NOBODY_REPORTED else error
