"""What agents are told of their requests has words for every state there is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import get_args

import pytest

from watchkeeper.api.authzen_requests import _STATUS
from watchkeeper.api.held import show_asked
from watchkeeper.decide.notices.callbacks import STATES
from watchkeeper.wire.requests import RequestState

EVERY: tuple[RequestState, ...] = get_args(RequestState)
MAY_RUN = {"approved", "redeemed", "succeeded", "failed", "unknown"}


@pytest.mark.parametrize("state", EVERY)
@pytest.mark.parametrize("known", [True, False], ids=["all known", "little known"])
def test_every_state_is_told_in_words(state: RequestState, known: bool) -> None:
    row = SimpleNamespace(
        request="req_1",
        state=state,
        tool="books.create_refund",
        role="finance-ops",
        arguments='{"amount_usd": 300}',
        digest="sha256:1",
        decide_by=1_795_000_000_000_000,
        decided_by="person/ada" if known else None,
        decided_at=1_794_000_000_000_000 if known else None,
        decided_why="looked at it" if known else None,
        grant_expires_at=1_794_000_300_000_000 if known else None,
        superseded_by="req_2" if known else None,
        callback=None,
        groups='[["finance-ops", 1], ["legal", 1]]',
        approvals=1 if known else 0,
    )
    told = show_asked(row, waits=state == "pending", changes=known)
    assert told.text
    if state == "pending":
        assert told.text.startswith("waits for 1 of finance-ops and 1 of legal")
        assert ("1 of 2 so far" in told.text) == known
    if state == "denied":
        assert told.text.startswith("changes requested by" if known else "rejected")
    assert "None" not in told.text
    assert told.verdict == {"pending": "hold"}.get(state, "permit" if state in MAY_RUN else "deny")
    assert (told.approved_until is not None) == (known and state == "approved")


def test_no_state_is_unknown_to_authzen_or_callbacks() -> None:
    assert set(_STATUS) == set(EVERY)
    assert set(STATES.values()) == set(EVERY) - {"pending", "redeemed"}
