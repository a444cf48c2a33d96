"""Words that every gateway says alike."""

from __future__ import annotations

from watchkeeper.wire.decisions import Answer


def denial(answer: Answer) -> str:
    """Return what a denial says: the rule, the reason, and what is allowed instead."""
    text = f"DENIED by rule {answer.rule}: {_sentence(answer.reason)}"
    if answer.allowed_instead:
        text += f" Allowed instead: {_sentence(answer.allowed_instead)}"
    return text


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."
