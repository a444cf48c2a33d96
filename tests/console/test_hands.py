"""Whether keys are pasted, by how fast they come."""

from __future__ import annotations

from watchkeeper.console.hands import FLOOD_KEYS, Hands

PASTED = 0.005


def come(hands: Hands, keys: str, at: float, every: float) -> float:
    """Let keys come one after another; return when the next would."""
    for key in keys:
        hands.press(key, at)
        at += every
    return at


def test_what_comes_at_once_is_a_paste_and_refused_once() -> None:
    hands = Hands()
    come(hands, "abcdefghijkl"[:FLOOD_KEYS], 10.0, PASTED)
    assert hands.why_not() is not None
    assert hands.why_not() is None


def test_a_key_that_is_held_down_is_no_paste() -> None:
    hands = Hands()
    come(hands, "j" * 40, 10.0, PASTED)
    assert hands.why_not() is None


def test_what_a_person_does_after_a_pause_is_not_taken_for_what_was_pasted_before() -> None:
    hands = Hands()
    at = come(hands, "it answers nonsense", 10.0, PASTED)
    come(hands, "ql", at + 0.12, 0.12)
    assert hands.why_not() is None
