"""Help from the registry, and the guides that ship with the program."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from watchkeeper.console.actions import Action, key_label
from watchkeeper.console.blocks import Blank, Block, Code, Line, Prose, Title
from watchkeeper.console.painting import Span, span
from watchkeeper.core.errors import NotFound
from watchkeeper.core.resources import resource_dir
from watchkeeper.core.text import fit, make_safe

_EMPHASIS = re.compile(r"\*\*(.+?)\*\*|`([^`]+)`")


WhyNot = Callable[[Action], str | None]


def help_blocks(actions: Sequence[Action], guides: Sequence[str], why_not: WhyNot) -> list[Block]:
    """List everything that can be done here, in groups, with its keys."""
    groups: dict[str, list[Action]] = {}
    for action in actions:
        groups.setdefault(action.group, []).append(action)
    blocks: list[Block] = []
    for group, members in groups.items():
        blocks.append(Title(group))
        for action in members:
            blocks.append(_help_line(action, why_not(action)))
    blocks.append(Title("Guides"))
    named = ", ".join(guides) if guides else "none in this installation"
    blocks.append(Prose(f"Type :guide to read one: {named}"))
    return blocks


def _help_line(action: Action, why: str | None) -> Line:
    keys = " ".join(key_label(key) for key in action.keys) or "–"
    parts: list[Span] = [
        span("  "),
        Span(fit(make_safe(keys), 13), "key"),
        span(f" {fit(make_safe(action.title), 17)} ", "text" if why is None else "quiet"),
        span(action.explain or f":{action.command}", "quiet")
        if why is None
        else span(f"not now: {why}", "warning"),
    ]
    return Line(parts)


def guide_files() -> dict[str, Path]:
    """Return the guides by name."""
    try:
        place = resource_dir("guides")
    except NotFound:
        return {}
    return {path.stem: path for path in sorted(place.glob("*.md"))}


def guide_blocks(text: str) -> Iterator[Block]:
    """Turn the Markdown of a guide into blocks."""
    paragraph: list[str] = []
    code: list[str] | None = None
    for line in text.splitlines():
        if line.startswith("```"):
            yield from _flush(paragraph)
            if code is None:
                code = []
            else:
                yield Code("\n".join(code))
                code = None
        elif code is not None:
            code.append(line)
        elif line.startswith("#"):
            yield from _flush(paragraph)
            yield Title(line.lstrip("# "))
        elif not line.strip():
            yield from _flush(paragraph)
            yield Blank()
        elif line.lstrip().startswith(("- ", "* ", "|")) or re.match(r"\s*\d+\. ", line):
            yield from _flush(paragraph)
            paragraph.append(line.rstrip())
        else:
            paragraph.append(line.strip() if paragraph else line.rstrip())
    yield from _flush(paragraph)
    if code:
        yield Code("\n".join(code))


def _flush(paragraph: list[str]) -> Iterator[Block]:
    if paragraph:
        words = " ".join(paragraph)
        paragraph.clear()
        yield Prose(_EMPHASIS.sub(lambda found: found[1] or found[2], words))
