"""Whether those who approved beforehand could still approve it."""

from __future__ import annotations

from watchkeeper.approvals.people import People
from watchkeeper.approvals.rows import find
from watchkeeper.approvals.standing.service import find_standing_approval
from watchkeeper.approvals.voiding import why_spoiled
from watchkeeper.approvals.voting import read_votes
from watchkeeper.store.transaction import Transaction


def why_void(tx: Transaction, standing: str, people: People) -> str | None:
    """Say why the votes for a standing approval count no longer, or return None."""
    request = find_standing_approval(tx, standing).request
    return why_spoiled(tx, find(tx, request), read_votes(tx, request), people)
