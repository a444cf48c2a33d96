"""What approvers are shown of a request, as one value: each vote seals its digest."""

from __future__ import annotations

import json
from typing import Any

from watchkeeper.core.digest import digest
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction

_AS_THEY_ARE = (
    "request", "kind", "agent", "agent_version", "run", "on_behalf_of", "goal", "tool", "asks",
    "risk", "object_kind", "object_id", "amount_micros", "canonical", "blast_radius",
    "blast_source", "rollback", "rule", "rule_text", "explanation", "timeout_outcome", "digest",
)  # fmt: skip
_AS_JSON = ("changes", "groups", "deciding")
DISPLAY = "watchkeeper/display/v1"


def display_of(row: Row) -> dict[str, Any]:
    """Return what is shown of a request's row that somebody's decision rests on."""
    shown = {name: getattr(row, name) for name in _AS_THEY_ARE}
    written = ((name, getattr(row, name)) for name in _AS_JSON)
    shown |= {name: json.loads(text) if text else None for name, text in written}
    reversible = row.reversible
    return shown | {"reversible": None if reversible is None else bool(reversible)}


def sealed_display(tx: Transaction, row: Row) -> str:
    """Return the digest of what is shown of a request, as entries of its run may name it.

    What it shows of persons could be guessed from it: then entries commit to it instead.
    """
    found = digest(DISPLAY, display_of(row))
    whose = [row.on_behalf_of] if row.on_behalf_of else []
    if whose := [*whose, *tx.vault.names_in(row.arguments)]:
        tx.vault.commit(tx, found, whose, row.run)
    return found
