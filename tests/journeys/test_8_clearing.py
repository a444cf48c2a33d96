"""A queue of every risk is cleared at the keyboard of a real terminal, and the keys are counted."""

from __future__ import annotations

import pytest

from tests.benchmarks.clearing import measure

pytestmark = pytest.mark.terminal
MOST_FOR_LOW = 3
"""Keys that a decision of low risk may take."""


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "alike together"])
def test_a_queue_is_cleared_with_few_keys(together: bool) -> None:
    """Each request was decided once, as what was on the screen when it was."""
    found = measure(6, together=together)
    assert found["states"] == {"approved, approve": found["requests"]}
    assert found["keys"]["low"] <= MOST_FOR_LOW
    assert found["keys"]["medium"] < found["keys"]["high"]
