"""Admitted is recorded, at any fault: all accounts of the same calls agree."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.soak import soak

CALLS = 1_200


def test_no_call_goes_unrecorded_whatever_fails(tmp_path: Path) -> None:
    account = soak(tmp_path, CALLS, kills=2)
    assert account.problems == []
    assert account.asked == CALLS
    assert account.answered + account.unanswered == CALLS
    assert account.recorded >= account.answered
    assert account.executed <= account.permitted
