"""What contracts call a coding agent's tools.

`Bash` of Claude Code is `claude.bash`; the tool `create_issue` of an MCP server `github` that the
agent itself connects to is `mcp.github.create_issue`, whichever agent it is. No two tools share a
name: one that a contract can't spell (capitals, other signs, too long) has its form with a digest
of its own spelling, such as `mcp.github.getissue.1f3a09bc77d0e254`.
"""

from __future__ import annotations

import hashlib
import re

from watchkeeper.wire.base import NAME

LONGEST = 63
_DIGEST = 16
"""Hexadecimal digits: too many for anybody to find another spelling that has the same."""
_NAME = re.compile(NAME)
_OTHER = re.compile(r"[^a-z0-9._-]")
_CAPITALS = re.compile(r"(?:[A-Z][a-z0-9]*)+")
_SNAKE = re.compile(r"[a-z][a-z0-9_]*")
_SPELLINGS = {
    "claude": (_CAPITALS,),
    "codex": (_CAPITALS, _SNAKE),
    "cursor": (_CAPITALS,),
    "gemini": (_SNAKE,),
}
"""How their makers spell tools. What a repository adds to Gemini can be spelled in any way."""


def builtin_name(agent: str, tool: str) -> str:
    """Return the name of a coding agent's own tool: `claude.web_fetch` of `WebFetch`."""
    words = re.sub(r"(?<!^)([A-Z])", r"_\1", tool).lower() if _CAPITALS.fullmatch(tool) else tool
    plain = any(spelling.fullmatch(tool) for spelling in _SPELLINGS[agent])
    return _exact(f"{agent}.{words}", tool, exact=plain)


def server_name(server: str, tool: str) -> str:
    """Return the name of a tool of an MCP server."""
    # a dot within one of them would let two pairs meet
    plain = "." not in server and "." not in tool
    return _exact(f"mcp.{server}.{tool}", f"{server}\n{tool}", exact=plain)


def _exact(name: str, spelled: str, *, exact: bool = True) -> str:
    if exact and len(name) <= LONGEST and _NAME.fullmatch(name):
        return name
    mark = hashlib.sha256(spelled.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    folded = _OTHER.sub("-", name.lower())[: LONGEST - _DIGEST - 1]
    return f"{folded}.{mark}"
