"""What coding agents' hooks tell of, and what they are answered, whichever agent it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Moment = Literal["before", "after", "start", "end", "asked"]
"""before: a tool is about to run; after: it ran; start, end: of a session; asked: somebody sends
the agent a prompt."""
Word = Literal["permit", "deny", "stop", "defer", "noted"]
"""stop: deny, and end the session too; defer: put the call away until the session is resumed;
noted: nothing was asked."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a hook, checked. Its texts are still the agent's."""

    moment: Moment
    name: str
    """The event as the tool calls it: its answers repeat it."""
    session: str
    action: str = ""
    """What the plane's contracts call the tool."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    call: str | None = None
    """The tool's own id of the call: the same one before and after it, and when resumed."""
    failed: bool = False
    server: str | None = None
    """The MCP server whose tool it is, as the coding agent names it."""
    offered_as: str = ""
    """What that server calls the tool."""
    place: str = ""
    """The directory the agent works in."""
    turn: str | None = None
    """The tool's own id of the prompt that all of this comes of, where it has one."""
    prompt: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """What a hook is answered; `text` is for the agent and whoever watches it."""

    word: Word
    text: str = ""


@dataclass(frozen=True, slots=True)
class CodingAgent:
    """How one coding agent speaks to its hooks."""

    name: str
    title: str
    read: Callable[[Mapping[str, Any]], Event]
    """Raises `Invalid` for what is none of its events."""
    write: Callable[[str, Said], Mapping[str, Any]]
    """The answer to an event of that name."""
    says_no_by_exit: bool = False
    """It heeds the exit code and standard error, not what is printed."""
