"""What the rule under the list says of it: what narrows it, what is marked, what came."""

from __future__ import annotations

from typing import Any

from watchkeeper.console.painting import Span, span
from watchkeeper.console.window import Window


def fact_spans(window: Window[Any], waiting: str, message: Span | None = None) -> list[Span]:
    """Say what waits to be sent, what just happened, what narrows, what is marked, what is new.

    What can still be taken back stands first: nothing may hide it.
    """
    parts = [span(waiting, "warning")] if waiting else []
    if message is not None:
        parts.append(message)
    if window.filter:
        parts.append(span(f"filter: {window.filter}", "accent"))
    if window.marks:
        hidden = f" ({window.hidden_marks} hidden)" if window.hidden_marks else ""
        parts.append(span(f"{len(window.marks)} marked{hidden}", "warning"))
    if window.fresh:
        parts.append(span(f"{window.fresh} new", "accent"))
    return parts


def place_words(window: Window[Any]) -> str:
    """Say where the cursor is and how many rows there are."""
    if not len(window):
        return ""
    total = window.total if window.total is not None else len(window)
    more = "" if window.complete or window.total is not None else "+"
    return f"{window.cursor + 1:,}/{max(total, len(window)):,}{more}"
