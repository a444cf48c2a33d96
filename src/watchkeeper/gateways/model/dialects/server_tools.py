"""Which tools of Anthropic's protocol run at the provider, and which beta features turn them on.

https://platform.claude.com/docs/en/agents-and-tools/tool-use/server-tools. Tools of a type that
is not known to be the agent's own are taken for the provider's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from watchkeeper.gateways.model.dialect import HostedTool
from watchkeeper.gateways.model.dialects.content import object_of
from watchkeeper.gateways.model.errors import malformed

_LOCAL = re.compile(
    r"(?:custom|(?:bash|text_editor|computer|memory|computer_toolset|browser_toolset)_[0-9]{8})\Z"
)
_DATED = re.compile(r"_[0-9]{8}\Z")
_UNFIT = re.compile(r"[^a-z0-9_-]+")
_WIDENS = re.compile(r"context-([0-9]{1,9})([km])")
_UNITS = {"k": 1_000, "m": 1_000_000}
_NAMES = frozenset({"type", "name", "mcp_server_name", "url"})
_LONGEST_NAME = 63
_LONGEST_URL = 500
_TOOL_SEARCH = "tool_search_tool"
_CODE = "hosted.code_execution"

_TOOLS_TOKENS = 2048
"""The system message that tools bring; the most that Anthropic's list of them shows is 530
(https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview#pricing)."""
_TYPED_TOOL_TOKENS = 4096
"""A tool that the provider describes itself: up to 735 there (computer use)."""
_TOOLSET_TOKENS = 32_768
"""A set of two dozen of them."""

_TURNED_ON: Mapping[str, str] = {
    "mcp-": "hosted.mcp.",
    "code-execution-": _CODE,
    "skills-": _CODE,
    "web-search-": "hosted.web_search",
    "web-fetch-": "hosted.web_fetch",
    "advisor-": "hosted.advisor",
    "server-side-fallback-": "",
    "fallback-credit-": "",
    "message-threads-": "",
    "managed-agents-": "",
    "user-profiles-": "",
    "compact-": "",
}
"""How names of beta features begin that let the provider do more than answer → the hosted tool
that a call must have for them to pass; empty: they never pass."""


def hosted_tools(
    tools: Sequence[Any], servers: Sequence[Any], container: object
) -> tuple[HostedTool, ...]:
    """Return what the provider would run; raise `ModelError` for what can't be read."""
    found: dict[str, HostedTool] = {}
    for server in servers:
        one = HostedTool(_server_name(server), _url(server))
        if found.setdefault(one.name, one) != one:
            raise malformed(f"{one.name} is named twice, with different addresses")
    for tool in tools:
        name = hosted_name(tool)
        if name is not None:
            found.setdefault(name, HostedTool(name))
    if isinstance(container, dict) and container.get("skills"):
        found.setdefault(_CODE, HostedTool(_CODE))
    return tuple(found.values())


def hosted_name(said: object) -> str | None:
    """Return a provider's tool by the name that allowlists have; None for one of the agent."""
    tool = object_of(said, _NAMES, "a tool")
    kind = tool.get("type")
    if kind is None:
        return None
    if not isinstance(kind, str):
        raise malformed("the `type` of a tool is a text")
    if _LOCAL.match(kind):
        return None
    if kind == "mcp_toolset":
        return _named("mcp.", tool.get("mcp_server_name"))
    if kind.startswith(_TOOL_SEARCH):
        return "hosted.tool_search"
    return _named("", _DATED.sub("", kind))


def _server_name(said: object) -> str:
    """Return how allowlists name a tool server that the provider is to call."""
    return _named("mcp.", object_of(said, _NAMES, "an entry of mcp_servers").get("name"))


def take_out(members: dict[str, Any], without: frozenset[str]) -> None:
    """Leave hosted tools out, and what refers to them."""
    tools = members.get("tools", [])
    left = [tool for tool in tools if hosted_name(tool) not in without]
    servers = [one for one in members.pop("mcp_servers", []) if _server_name(one) not in without]
    if servers:
        members["mcp_servers"] = servers
    names = {tool.get("name") for tool in left}
    choice = members.get("tool_choice")
    if not left:
        members.pop("tools", None)
    elif len(left) != len(tools):
        members["tools"] = left
    if isinstance(choice, dict) and (
        not left or (choice.get("type") == "tool" and choice.get("name") not in names)
    ):
        del members["tool_choice"]
    container = members.get("container")
    if isinstance(container, dict) and "hosted.code_execution" in without:
        members.pop("container")


def described_tokens(tools: Sequence[Any]) -> int:
    """Return the most that tools add to what a call's body shows of them."""
    return (_TOOLS_TOKENS if tools else 0) + sum(map(_own_words, tools))


def _own_words(tool: object) -> int:
    """What the provider itself says of a tool to the model."""
    kind = str(tool.get("type") or "custom") if isinstance(tool, dict) else "custom"
    if kind == "custom":
        return 0
    return _TOOLSET_TOKENS if "toolset" in kind else _TYPED_TOOL_TOKENS


def passed_betas(asked: str, hosted: Sequence[HostedTool]) -> str:
    """Return the beta features that go to the provider: without those that would let it do more
    than the call's own tools do.
    """
    names = [tool.name for tool in hosted]
    return ",".join(
        beta for beta in (one.strip() for one in asked.split(",")) if beta and _passes(beta, names)
    )


def betas_within(betas: str, context_window: int) -> str:
    """Return beta features without those that make a window larger than one of so many tokens:
    no more than that is held for, and longer prompts have prices of their own.
    """
    return ",".join(beta for beta in betas.split(",") if _window(beta) <= context_window)


def _window(beta: str) -> int:
    """Return how many tokens a beta feature lets in; 0 where it changes nothing of that."""
    found = _WIDENS.match(beta.casefold())
    return int(found[1]) * _UNITS[found[2]] if found else 0


def _passes(beta: str, names: Sequence[str]) -> bool:
    for start, needed in _TURNED_ON.items():
        if beta.casefold().startswith(start):
            return bool(needed) and any(name.startswith(needed) for name in names)
    return True


def _named(group: str, said: object) -> str:
    """Return a name that a document can have, whatever the agent calls it."""
    if not isinstance(said, str) or not said:
        raise malformed("a tool that the provider runs has a name")
    fit = _UNFIT.sub("_", said.casefold()).strip("_-")
    return f"hosted.{group}{fit or 'unnamed'}"[:_LONGEST_NAME]


def _url(server: Mapping[str, Any]) -> str:
    """Return where a tool server is, as it is written: the upstream's document has it so too."""
    url = server.get("url")
    if not isinstance(url, str) or len(url) > _LONGEST_URL:
        raise malformed(f"the `url` of a tool server is a text of up to {_LONGEST_URL} characters")
    return url
