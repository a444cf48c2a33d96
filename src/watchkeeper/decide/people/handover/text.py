"""A hand-over in Markdown, for people to edit; what agents wrote can be no markup in it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from watchkeeper.core.clock import utc_text
from watchkeeper.core.durations import duration_text
from watchkeeper.core.text import make_safe
from watchkeeper.wire.handover import HandoverSection

_LONGEST_LISTS = 24_000
"""Characters of all lists together: what is generated can be given as it is (`HandoverText`)."""
_MARKUP = re.compile(r"([\\`*\[\]<>|#~])")
_LINK = re.compile(
    r"((?:https?|ftp)://[^\s`<>|\\]+|www\.[^\s`<>|\\]+|[\w.+-]{1,64}@[\w-]{1,64}\.[\w.-]{1,64})",
    re.IGNORECASE,
)
"""What GitHub's Markdown makes a link of by itself."""


def plain(text: str, limit: int = 120) -> str:
    """Return words from outside as one line that is nothing but words in Markdown.

    Addresses are put as code, which no reader makes a link of.
    """
    parts = _LINK.split(make_safe(text, limit=limit))
    return "".join(
        f"`{part}`" if place % 2 else _MARKUP.sub(r"\\\1", part) for place, part in enumerate(parts)
    )


def _name(thing: str) -> str:
    """Return an id as it stands between backticks; an upstream may call its tools anything."""
    return make_safe(thing, limit=100).replace("`", "'")


def write_text(
    name: str,
    *,
    by: str,
    since: int,
    until: int,
    due_at: int,
    next_people: Iterable[str],
    sections: Iterable[HandoverSection],
) -> str:
    """Return the whole summary: what is pressing is marked with `!`, each thing by its id."""
    to = ", ".join(next_people) or "nobody yet"
    lines = [
        f"# Hand-over of {name}",
        "",
        f"From {by} to {to}. The watch changes hands at {utc_text(due_at)}.",
        f"This covers {utc_text(since)} to {utc_text(until)} ({duration_text(until - since)}).",
    ]
    quiet: list[str] = []
    room = _LONGEST_LISTS
    for section in sections:
        if not section.total:
            quiet.append(section.title.lower())
            continue
        lines += ["", f"## {section.title}", "", section.summary, ""]
        shown = 0
        for item in section.items:
            line = f"- {'! ' if item.pressing else ''}{item.text} `{_name(item.id)}`"
            room -= len(line)
            if room < 0:
                break
            lines.append(line)
            shown += 1
        if section.items and section.total > shown:
            lines.append(f"- and {section.total - shown:,} more")
    if quiet:
        lines += ["", f"Nothing of: {', '.join(quiet)}."]
    lines += ["", "## From me", "", "", ""]
    return "\n".join(lines)
