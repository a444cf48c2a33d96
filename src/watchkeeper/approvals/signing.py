"""What a vote on a request takes, and which take signed votes only."""

from __future__ import annotations

from functools import lru_cache

from watchkeeper.core.errors import Forbidden
from watchkeeper.store.statement import Row
from watchkeeper.wire.requests import Deciding

_NOTHING = Deciding()


def deciding_of(row: Row) -> Deciding:
    """Return what a vote on a request takes, as its risk class said when it was made."""
    return _read(row.deciding) if row.deciding else _NOTHING


# Thousands of requests share a few.
@lru_cache(maxsize=256)
def _read(text: str) -> Deciding:
    return Deciding.model_validate_json(text)


def check_signed(row: Row, key: str | None) -> None:
    """Raise `Forbidden` where a request takes signed votes and this one was not signed.

    `key` is the fingerprint of the key whose signature was verified.
    """
    if key is None and deciding_of(row).signed:
        raise Forbidden(
            f"a {row.risk} request takes signed votes only",
            code="signature_required",
            rule=f"risk/{row.risk}/signed",
            remedy="approve it with `watchkeeper requests approve`, which signs with your SSH "
            "key; your `person` document has to name the key",
        )
