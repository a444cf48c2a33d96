"""Which requests take signed votes only."""

from __future__ import annotations

from watchkeeper.core.errors import Forbidden
from watchkeeper.store.statement import Row
from watchkeeper.wire.requests import Deciding


def check_signed(row: Row, key: str | None) -> None:
    """Raise `Forbidden` where a request takes signed votes and this one was not signed.

    `key` is the fingerprint of the key whose signature was verified.
    """
    if key is None and row.deciding and Deciding.model_validate_json(row.deciding).signed:
        raise Forbidden(
            f"a {row.risk} request takes signed votes only",
            code="signature_required",
            rule=f"risk/{row.risk}/signed",
            remedy="approve it with `watchkeeper requests approve`, which signs with your SSH "
            "key; your `person` document has to name the key",
        )
