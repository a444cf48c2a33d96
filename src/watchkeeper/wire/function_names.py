"""What tools are called where models call them, as functions: there a dot is no sign of a name.

OpenAI takes `[a-zA-Z0-9_-]`, 64 signs at most, and Anthropic the same, up to 128; clients of MCP
hand on the names that they are given. So `books.refund` is offered as `books_refund`. Of names
that would read the same, the one that is spelled so keeps it; the others have a digest of their
own spelling behind, as `books_refund_X1F3A09BC77D0E254`. Its capitals are in no name of a
contract, so it can be nobody else's.

A name means the same whatever other tools come and go, but for one case: once a tool comes that
reads alike, the name without a digest is nobody's, or that tool's if it is spelled so. The name
with the digest is understood at all times.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

LONGEST = 64
_DIGEST = 16
"""Hexadecimal digits: too many for anybody to find another spelling that has the same."""


@dataclass(frozen=True, slots=True)
class FunctionNames:
    """The names of tools that are in force together, both ways; no two share one."""

    offered: Mapping[str, str]
    """What contracts call a tool → what it is offered as."""
    tools: Mapping[str, str]
    """Every name that a tool is understood under, contracts' among them → contracts' name."""

    def tool(self, named: str) -> str:
        """Return what contracts call a tool; a name that is nobody's as it is."""
        return self.tools.get(named, named)


def name_functions(tools: Iterable[str]) -> FunctionNames:
    """Return what tools are offered as and understood under, by what contracts call them."""
    known = set(tools)
    alike = Counter(map(without_dots, known))
    offered: dict[str, str] = {}
    understood: dict[str, str] = {}
    for tool in known:
        plain, marked = without_dots(tool), with_digest(tool)
        offered[tool] = plain if plain == tool or alike[plain] == 1 else marked
        understood |= {offered[tool]: tool, marked: tool, tool: tool}
    return FunctionNames(offered, understood)


def without_dots(tool: str) -> str:
    """Return a tool's name as it is offered where no other reads the same."""
    return tool.replace(".", "_")


def with_digest(tool: str) -> str:
    """Return a tool's name that no other tool can have."""
    digest = hashlib.sha256(tool.encode()).hexdigest()[:_DIGEST].upper()
    return f"{without_dots(tool)[: LONGEST - _DIGEST - 2]}_X{digest}"
