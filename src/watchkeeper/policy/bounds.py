"""How large a policy may be: Cedar's parser recurses, and a crash of it takes the plane along."""

from __future__ import annotations

import re
from collections.abc import Iterator

from watchkeeper.core.errors import Invalid

DEEPEST = 64
"""How deep brackets may nest."""
MOST_TOKENS = 2000
"""Words and signs in one policy; a string counts as one."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\r\n]*|\w+|\S', re.DOTALL)
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")


def check_size(text: str, where: str) -> None:
    """Raise `Invalid` for policies that Cedar's parser could not take, before it is asked."""
    depth = tokens = 0
    for match in _TOKEN.finditer(text):
        sign = match[0]
        if sign.startswith("//"):
            continue
        tokens += 1
        if sign in _OPENING:
            depth += 1
        elif sign in _CLOSING:
            depth = max(0, depth - 1)
        elif sign == ";":
            tokens = 0
        if sign == '"':
            problem = "a string that never ends"
        elif depth > DEEPEST:
            problem = f"brackets nest deeper than {DEEPEST}"
        elif tokens > MOST_TOKENS:
            problem = f"one policy holds more than {MOST_TOKENS:,} words and signs"
        else:
            continue
        line = text.count("\n", 0, match.start()) + 1
        raise Invalid(
            problem, where=f"{where}:{line}", remedy="write it as several smaller policies"
        )


def split(text: str) -> list[str]:
    """Return the policies of a text in order, each with what precedes it, and a torn last one."""
    statements = []
    begin, torn = 0, False
    for match in _TOKEN.finditer(text):
        torn = match[0] != ";" and (torn or not match[0].startswith("//"))
        if match[0] == ";":
            statements.append(text[begin : match.end()].strip())
            begin = match.end()
    return [*statements, text[begin:].strip()] if torn else statements


def find(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each policy's effect stands and where the policy ends, broken ones too."""
    start: int | None = None
    end = depth = 0
    before = ""
    for match in _TOKEN.finditer(text):
        sign = match[0]
        if sign.startswith("//"):
            continue
        if sign in ("permit", "forbid") and depth == 0 and before != "@":
            if start is not None:
                # the annotations of this one stand behind the last one's semicolon
                yield start, end if end > start else match.start()
            start = match.start()
        elif sign == ";":
            end, depth = match.end(), 0
        elif sign in _OPENING:
            depth += 1
        elif sign in _CLOSING:
            depth = max(0, depth - 1)
        before = sign
    if start is not None:
        yield start, end if end > start else len(text)
