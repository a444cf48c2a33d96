"""Words that every gateway says alike."""

from __future__ import annotations

from watchkeeper.wire.decisions import Answer


def denial(answer: Answer) -> str:
    """Return what a denial says: the rule, the reason, and what is allowed instead."""
    text = f"DENIED by rule {answer.rule}: {sentence(answer.reason)}"
    if answer.allowed_instead:
        text += f" Allowed instead: {sentence(answer.allowed_instead)}"
    return text


def sentence(text: str) -> str:
    """Return text that ends like a sentence, so that another can follow."""
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."
