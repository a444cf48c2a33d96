"""Words that every gateway says alike."""

from __future__ import annotations

from watchkeeper.approvals.superseding import narrowing_words
from watchkeeper.wire.decisions import Answer, Narrowed


def denial(answer: Answer) -> str:
    """Return what a denial says: the rule, the reason, and what is allowed instead."""
    text = f"DENIED by rule {answer.rule}: {sentence(answer.reason)}"
    if answer.allowed_instead:
        text += f" Allowed instead: {sentence(answer.allowed_instead)}"
    return text


def narrowing(narrowed: Narrowed) -> str:
    """Say what ran in place of what was sent, and who approved that."""
    changes = "; ".join(narrowing_words(change) for change in narrowed.changes)
    who = narrowed.by.removeprefix("person/")
    text = f"{who} approved this call with other arguments than you sent, and it ran with those: "
    text += sentence(changes)
    return text + (f" Their reason: {sentence(narrowed.reason)}" if narrowed.reason else "")


def sentence(text: str) -> str:
    """Return text that ends like a sentence, so that another can follow."""
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."
