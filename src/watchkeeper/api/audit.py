"""The ledger's own check."""

from __future__ import annotations

from watchkeeper.api.table import Call, Operation
from watchkeeper.ledger.verification import verify
from watchkeeper.wire.plane import Verification


async def verification(call: Call) -> Verification:
    """Recompute every hash of the ledger, away from the event loop."""
    found = await call.rooms.store.scan(verify)
    what = found.what
    return Verification(
        ok=found.ok,
        entries=found.entries,
        first_bad=found.first_bad,
        what=f"{what}: {found.detail}" if what else None,
        head=found.head_chain,
    )


OPERATIONS = (
    Operation(
        "GET",
        "/v1/audit/verification",
        "audit",
        verification,
        "Verify the ledger's hash chain and name the first bad entry.",
        answers=Verification,
        tags=("ledger",),
    ),
)
