"""Which tools of OpenAI's protocol run at the provider, and calls without some of them.

https://platform.openai.com/docs/guides/tools. Tools of a kind that is not known to be performed
by the agent itself are taken for the provider's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from watchkeeper.gateways.model.dialect import HostedTool
from watchkeeper.gateways.model.dialects.reading import is_given, is_plain, parsed, searches
from watchkeeper.gateways.model.errors import ModelError, malformed
from watchkeeper.wire.base import NAME

_LOCAL = frozenset(
    {
        "function",
        "custom",
        "apply_patch",
        "local_shell",
        "computer",
        "computer_use",
        "computer_use_preview",
    }
)
"""Models only ask for these; whoever called performs them."""
_READ = frozenset(
    {
        "type",
        "tools",
        "server_label",
        "server_url",
        "connector_id",
        "tunnel_id",
        "environment",
        "execution",
        "name",
    }
)
_NAME = re.compile(NAME)
_DATED = re.compile(r"(_preview)?(_[0-9]{4}_[0-9]{2}_[0-9]{2})?\Z")
_LONGEST_URL = 500
_MOST_TOOLS = 1000
_FUNCTIONS = frozenset({b'"function"', b'"custom"'})
_listed = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


def read_tools(said: msgspec.Raw) -> tuple[msgspec.Raw, dict[str, HostedTool]]:
    """Return a list of tools as it goes to the provider, and what the provider would run of it,
    by name; raise `ModelError`.

    A function goes as it came, unless it says something twice: then what was read goes on.
    """
    try:
        tools = _listed.decode(said)
    except (msgspec.MsgspecError, RecursionError):
        raise malformed("tools are a list of objects") from None
    if len(tools) > _MOST_TOOLS:
        raise malformed(f"a call has {_MOST_TOOLS:,} tools at most")
    others = []
    for tool in tools:
        if bytes(tool.get("type", b"")) not in _FUNCTIONS:
            others.append(parsed(msgspec.Raw(msgspec.json.encode(tool)), "tools"))
        elif not is_plain(tool, _READ):
            raise _misspelt()
    found = hosted_tools(others) if others else {}
    return msgspec.Raw(msgspec.json.encode(tools)), found


def hosted_tools(tools: object) -> dict[str, HostedTool]:
    """Return what the provider would run of a list of tools, by name; raise `ModelError`."""
    found: dict[str, HostedTool] = {}
    for tool in _tools(tools):
        one = hosted_tool(tool)
        if one is None:
            continue
        before = found.setdefault(one.name, one)
        if before != one:
            raise malformed(f"{one.name[:80]} is named twice, with different addresses")
    return found


def hosted_tool(tool: Mapping[str, Any]) -> HostedTool | None:
    """Return a tool that the provider runs; None for one that the agent performs."""
    kind = tool.get("type")
    if not isinstance(kind, str):
        raise malformed("the `type` of a tool is a text")
    if kind in _LOCAL or _is_local(kind, tool):
        return None
    if kind == "mcp":
        return _server(tool)
    return HostedTool(_named(_DATED.sub("", kind)))


def searching(members: Mapping[str, msgspec.Raw]) -> HostedTool | None:
    """Return the search of the web that members beside `tools` let a provider run, if any."""
    asked = [bytes(members[name]) for name in searches(members) if is_given(members[name])]
    return HostedTool("hosted.web_search") if any(one != b"false" for one in asked) else None


def chosen(choice: object) -> dict[str, HostedTool]:
    """Return the provider's tools that a `tool_choice` names."""
    if not isinstance(choice, dict):
        return {}
    if choice.get("type") == "allowed_tools":
        listed = choice.get("tools", choice.get("allowed_tools"))
        return _named_by(_tools(listed.get("tools") if isinstance(listed, dict) else listed))
    return _named_by(_tools([choice]))


def take_out(members: dict[str, Any], without: frozenset[str]) -> None:
    """Leave hosted tools out of a call's members, and what refers to them."""
    for name in ("tools", "tool_choice"):
        if name in members:
            members[name] = parsed(members[name], name)
    tools = _tools(members.get("tools"))
    left = [tool for tool in tools if _name_of(tool) not in without]
    if "hosted.web_search" in without:
        for name in searches(members):
            del members[name]
    if "hosted.prompt" in without:
        members.pop("prompt", None)
    if tools and not left:
        for name in ("tools", "tool_choice", "parallel_tool_calls"):
            members.pop(name, None)
    elif len(left) != len(tools):
        members["tools"] = left
        _choose_else(members, without)


def without_tools(item: msgspec.Raw, without: frozenset[str]) -> msgspec.Raw | dict[str, Any]:
    """Return an item of an input without the hosted tools that it brings."""
    said = parsed(item, "input")
    if not isinstance(said, dict) or said.get("type") == "mcp_list_tools" or "tools" not in said:
        return item
    left = [tool for tool in _tools(said["tools"]) if _name_of(tool) not in without]
    return {**said, "tools": left}


def _choose_else(members: dict[str, Any], without: frozenset[str]) -> None:
    choice = members.get("tool_choice")
    if without.isdisjoint(chosen(choice)):
        return
    assert isinstance(choice, dict), "only an object names tools"
    nested = choice.get("allowed_tools")
    listed = nested if isinstance(nested, dict) else choice
    left = [tool for tool in _tools(listed.get("tools")) if _name_of(tool) not in without]
    if choice.get("type") != "allowed_tools" or not left:
        del members["tool_choice"]
    elif listed is nested:
        members["tool_choice"] = {**choice, "allowed_tools": {**listed, "tools": left}}
    else:
        members["tool_choice"] = {**choice, "tools": left}


def _named_by(tools: Iterable[Mapping[str, Any]]) -> dict[str, HostedTool]:
    """Return the tools that are only referred to: a server by its label alone."""
    found = {}
    for tool in tools:
        name = _name_of(tool)
        if name is not None:
            found[name] = HostedTool(name)
    return found


def _name_of(tool: Mapping[str, Any]) -> str | None:
    kind = tool.get("type")
    if kind == "mcp" and "connector_id" not in tool:
        return server_name(tool.get("server_label"))
    if kind in ("shell", "tool_search", "namespace") and len(tool) == 1:
        return None  # a reference to what `tools` describes
    one = hosted_tool(tool)
    return one.name if one else None


def server_name(label: object) -> str:
    """Return how allowlists name a tool server that the provider is to call."""
    if not isinstance(label, str):
        raise malformed("the `server_label` of a tool server is a text")
    return _named(f"mcp.{label.casefold()}")


def _server(tool: Mapping[str, Any]) -> HostedTool:
    """Return a tool server, or one of the provider's own connectors."""
    places = [tool[key] for key in ("server_url", "connector_id", "tunnel_id") if tool.get(key)]
    if len(places) != 1 or not isinstance(places[0], str) or len(places[0]) > _LONGEST_URL:
        raise malformed(
            "a tool server has one of server_url, connector_id and tunnel_id, a text of at most "
            f"{_LONGEST_URL} characters"
        )
    if tool.get("connector_id"):
        return HostedTool(_named(places[0].casefold()))
    place = places[0] if tool.get("server_url") else f"tunnel:{places[0]}"
    return HostedTool(server_name(tool.get("server_label")), place)


def _is_local(kind: str, tool: Mapping[str, Any]) -> bool:
    """Tell whether a tool that may run at either place runs at the agent's."""
    if kind == "namespace":
        return not hosted_tools(tool.get("tools"))
    if kind == "tool_search":
        return tool.get("execution") == "client"
    environment = tool.get("environment")
    return kind == "shell" and isinstance(environment, dict) and environment.get("type") == "local"


def _named(kind: str) -> str:
    name = f"hosted.{kind}"
    if _NAME.fullmatch(name) is None:
        raise malformed(f"{kind[:80]!r} is no kind or label of a tool that a contract could name")
    return name


def _tools(said: object) -> list[dict[str, Any]]:
    """Return tools as they are; raise `ModelError` for what a provider could read otherwise."""
    return list(_read_tools(said))


def _read_tools(said: object) -> Iterator[dict[str, Any]]:
    if said is None:
        return
    if not isinstance(said, list):
        raise malformed("tools are a list")
    for tool in said:
        if not isinstance(tool, dict) or not is_plain(tool, _READ):
            raise _misspelt()
        yield tool


def _misspelt() -> ModelError:
    return malformed("a tool is an object, its members written in the case that the API has them")
