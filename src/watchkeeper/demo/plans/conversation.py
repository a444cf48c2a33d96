"""A chat as a plan sees it: the work item and what each tool call so far came to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from watchkeeper.core.digest import parse
from watchkeeper.core.errors import Invalid

_AGENT = re.compile(r"^You are ([a-z0-9_-]+)")
_ITEM = re.compile(r"```json\n(.*?)\n```", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Result:
    """What one tool call came to; `refused` holds the words of a refusal or failure."""

    tool: str
    data: Mapping[str, Any]
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What the model says next: a tool call with its reason, or the last word."""

    says: str
    tool: str | None = None
    arguments: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """An agent's name, its item, and its results in order."""

    agent: str
    item: Mapping[str, Any]
    results: tuple[Result, ...]

    def last(self, tool: str) -> Result | None:
        """Return the latest result of a tool."""
        return next((r for r in reversed(self.results) if r.tool == tool), None)


def call(tool: str, says: str, **arguments: Any) -> Step:
    """Say something and use a tool."""
    return Step(says, tool, arguments)


def stop(says: str) -> Step:
    """Say the last word."""
    return Step(says)


def read_conversation(messages: Sequence[Mapping[str, Any]]) -> Conversation:
    """Read an OpenAI chat; raise `Invalid` if it is not one that a demo agent holds."""
    agent, item = "", None
    names: dict[str, str] = {}
    results: list[Result] = []
    for message in messages:
        role, content = message.get("role"), str(message.get("content") or "")
        if role == "system" and (found := _AGENT.match(content)):
            agent = found[1]
        elif role == "user" and item is None and (block := _ITEM.search(content)):
            item = parse(block[1])
        elif role == "assistant":
            for asked in message.get("tool_calls") or ():
                names[asked["id"]] = plain_name(asked["function"]["name"])
        elif role == "tool":
            tool = names.get(str(message.get("tool_call_id")), "")
            results.append(_read_result(tool, content))
    if not agent or not isinstance(item, dict):
        raise Invalid(
            "this model only knows the demo's agents",
            remedy="begin with `You are <agent>` as the system and give the item as a JSON block",
        )
    return Conversation(agent, item, tuple(results))


def _read_result(tool: str, content: str) -> Result:
    try:
        data = parse(content)
    except Invalid:
        return Result(tool, {}, content or "no answer")
    if not isinstance(data, dict):
        return Result(tool, {"value": data})
    if "error" in data:
        return Result(tool, {}, str(data["error"]))
    return Result(tool, data)


def plain_name(function: str) -> str:
    """Return what contracts call a tool that is offered as a function: no server here has a `_`
    in its name.
    """
    return function.replace("_", ".", 1)
