"""What a vote on a request takes, and which take signed votes only."""

from __future__ import annotations

from functools import lru_cache

from watchkeeper.core.errors import Conflict, Forbidden
from watchkeeper.store.statement import Row
from watchkeeper.wire.requests import AS_USUAL, Deciding, Verdict


def deciding_of(row: Row) -> Deciding:
    """Return what a vote on a request takes, as its risk class said when it was made."""
    return _read(row.deciding) if row.deciding else AS_USUAL


# Thousands of requests share a few.
@lru_cache(maxsize=256)
def _read(text: str) -> Deciding:
    return Deciding.model_validate_json(text)


def check_seen(row: Row, digest: str) -> None:
    """Raise `Conflict` unless a person decides what was on their screen."""
    if digest != row.digest:
        raise Conflict(
            "what was on your screen is not what this request asks",
            code="stale_digest",
            rule="approval/digest",
            remedy="open the request again and read it before you decide",
        )


def check_deciding(
    row: Row,
    verdict: Verdict,
    *,
    key: str | None,
    reason: str | None,
    view_seconds: float | None,
) -> None:
    """Raise `Forbidden` unless a vote comes with what the request's risk class asks for."""
    check_signed(row, key)
    if verdict == "changes" and not (reason or "").strip():
        raise Forbidden(
            "asking for changes needs a reason: what the agent should ask for instead",
            code="reason_required",
            rule="approval/changes",
            remedy="say what would do, or reject it",
        )
    if verdict != "approve":
        return
    deciding = deciding_of(row)
    if deciding.reason and not (reason or "").strip():
        raise Forbidden(
            f"approving a {row.risk} risk needs a reason",
            code="reason_required",
            rule=f"risk/{row.risk}/reason",
            remedy="say why it is right",
        )
    if (view_seconds or 0) < deciding.view_seconds:
        seen = "nobody says how long" if view_seconds is None else f"{view_seconds:g} s"
        raise Forbidden(
            f"a {row.risk} risk is to be looked at for {deciding.view_seconds:g} s before it is "
            f"approved; it was on screen: {seen}",
            code="view_required",
            rule=f"risk/{row.risk}/view_seconds",
            remedy="read it, then approve it; rejecting needs no time",
        )


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
