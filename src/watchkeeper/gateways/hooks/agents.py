"""How Claude Code, Codex, Gemini CLI and Cursor speak to their hooks.

Sources: code.claude.com/docs/en/hooks, developers.openai.com/codex/hooks (and openai/codex:
codex-rs/hooks/src/engine/output_parser.rs, of what it takes for no answer),
geminicli.com/docs/hooks/reference, cursor.com/docs/agent/hooks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from watchkeeper.core.errors import Invalid
from watchkeeper.gateways.hooks.model import CodingAgent, Event, Moment, Said
from watchkeeper.gateways.hooks.names import builtin_name, server_name

LONGEST_TOOL = 200
LONGEST_PLACE = 200
_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_MOMENTS: Mapping[str, Mapping[str, Moment]] = {
    "claude": {
        "PreToolUse": "before",
        "PostToolUse": "after",
        "PostToolUseFailure": "after",
        "SessionStart": "start",
        "SessionEnd": "end",
        "UserPromptSubmit": "asked",
    },
    "codex": {
        "PreToolUse": "before",
        "PostToolUse": "after",
        "SessionStart": "start",
        "UserPromptSubmit": "asked",
    },
    "gemini": {
        "BeforeTool": "before",
        "AfterTool": "after",
        "SessionStart": "start",
        "SessionEnd": "end",
        "BeforeAgent": "asked",
    },
    "cursor": {
        "preToolUse": "before",
        "beforeShellExecution": "before",
        "beforeMCPExecution": "before",
        "postToolUse": "after",
        "postToolUseFailure": "after",
        "afterShellExecution": "after",
        "afterMCPExecution": "after",
        "sessionStart": "start",
        "sessionEnd": "end",
        "beforeSubmitPrompt": "asked",
    },
}
_TURNS = ("prompt_id", "turn_id", "generation_id")
"""What they call the id of a prompt and of all that comes of it; Gemini CLI has none."""
_FAILURES = frozenset({"PostToolUseFailure", "postToolUseFailure"})


def read(agent: str, sent: Mapping[str, Any]) -> Event:
    """Read an event; raise `Invalid` for one that is not known or lacks what it must have."""
    name = sent.get("hook_event_name")
    moment = _MOMENTS[agent].get(name) if isinstance(name, str) else None
    if moment is None or not isinstance(name, str):
        raise Invalid(f"{agent} tells of an event that is not known: {name!r:.60}")
    session = _id(sent, "conversation_id" if "conversation_id" in sent else "session_id")
    place = sent.get("cwd")
    place = place[:LONGEST_PLACE] if isinstance(place, str) else ""
    if moment in ("start", "end"):
        return Event(moment, name, session, place=place)
    turn = _turn(sent)
    if moment == "asked":
        prompt = sent.get("prompt")
        if not isinstance(prompt, str):
            raise Invalid("prompt: missing, or no text", where="hook: prompt")
        return Event(moment, name, session, place=place, turn=turn, prompt=prompt)
    server, tool = _tool(sent, name)
    return Event(
        moment,
        name,
        session,
        action=server_name(server, tool) if server is not None else builtin_name(agent, tool),
        arguments=_arguments(sent, name),
        call=_id(sent, "tool_use_id") if sent.get("tool_use_id") is not None else None,
        failed=name in _FAILURES or _reports_error(sent.get("tool_response")),
        server=server,
        offered_as=tool,
        place=place,
        turn=turn,
    )


def _turn(sent: Mapping[str, Any]) -> str | None:
    """Return which prompt it comes of; what is no id says nothing, and refuses nothing."""
    found = next((sent[name] for name in _TURNS if name in sent), None)
    return found if isinstance(found, str) and _ID.fullmatch(found) else None


def _id(sent: Mapping[str, Any], field: str) -> str:
    value = sent.get(field)
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise Invalid(f"{field}: missing, or of signs that no id has", where=f"hook: {field}")
    return value


def _tool(sent: Mapping[str, Any], event: str) -> tuple[str | None, str]:
    """Return a tool's MCP server, or None, and its name there."""
    if event.endswith("ShellExecution"):
        return None, "Shell"
    tool = sent.get("tool_name")
    if not isinstance(tool, str) or not 0 < len(tool) <= LONGEST_TOOL:
        raise Invalid("tool_name: missing, empty or too long", where="hook: tool_name")
    context = sent.get("mcp_context")
    if isinstance(context, Mapping):
        names = context.get("server_name"), context.get("tool_name")
        if all(isinstance(one, str) and 0 < len(one) <= LONGEST_TOOL for one in names):
            return str(names[0]), str(names[1])
        raise Invalid("mcp_context: it names no server and tool", where="hook: mcp_context")
    if tool.startswith("mcp__"):
        server, gap, name = tool[5:].partition("__")
        if server and gap and name:
            return server, name
    if tool.startswith("MCP:") or event.endswith("MCPExecution"):
        return "cursor", tool.removeprefix("MCP:")  # which server it is, Cursor does not say
    return None, tool


def _arguments(sent: Mapping[str, Any], event: str) -> Mapping[str, Any]:
    if event.endswith("ShellExecution"):
        return {"command": sent.get("command")}
    given = sent.get("tool_input")
    if event.endswith("MCPExecution") and isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            given = None
    if not isinstance(given, Mapping):
        raise Invalid("tool_input: no object", where="hook: tool_input")
    return given


def _reports_error(response: object) -> bool:
    return isinstance(response, Mapping) and bool(response.get("error"))


def _write_claude(event: str, said: Said) -> Mapping[str, Any]:
    if said.word == "noted":
        return {}
    stop = {"continue": False, "stopReason": said.text} if said.word == "stop" else {}
    if event != "PreToolUse":
        # of an event that is not known, only a stop ends what it may let happen
        blocks = {"decision": "block", "reason": said.text} if said.word == "deny" else {}
        return stop or blocks
    # without the denial, a stop would let this one call run
    word = {"permit": "allow", "defer": "defer"}.get(said.word, "deny")
    decision = {"permissionDecision": word, "permissionDecisionReason": said.text}
    return {"hookSpecificOutput": {"hookEventName": "PreToolUse", **decision}, **stop}


def _write_codex(event: str, said: Said) -> Mapping[str, Any]:
    # it knows no `allow`: what is not denied takes its usual course
    if said.word in ("permit", "noted"):
        return {}
    # an answer that would end the session before a tool is none to it, and the tool would run
    word = "deny" if event == "PreToolUse" else said.word
    return _write_claude(event, replace(said, word=word))


def _write_gemini(event: str, said: Said) -> Mapping[str, Any]:
    if said.word in ("permit", "noted"):
        return {"decision": "allow"} if event == "BeforeTool" else {}
    stop = {"continue": False, "stopReason": said.text} if said.word == "stop" else {}
    if event == "AfterTool":
        return stop  # a denial here would hide what the tool gave
    return {"decision": "deny", "reason": said.text, **stop}


def _write_cursor(event: str, said: Said) -> Mapping[str, Any]:
    if event == "beforeSubmitPrompt":
        goes_on = said.word in ("permit", "noted")
        return {"continue": goes_on} | ({} if goes_on else {"user_message": said.text})
    if said.word in ("permit", "noted"):
        asked = event.startswith(("pre", "before"))
        return {"permission": "allow"} if asked and said.word == "permit" else {}
    return {"permission": "deny", "user_message": said.text, "agent_message": said.text}


AGENTS: Mapping[str, CodingAgent] = {
    "claude": CodingAgent("claude", "Claude Code", lambda s: read("claude", s), _write_claude),
    "codex": CodingAgent(
        "codex", "Codex", lambda s: read("codex", s), _write_codex, says_no_by_exit=True
    ),
    "gemini": CodingAgent("gemini", "Gemini CLI", lambda s: read("gemini", s), _write_gemini),
    "cursor": CodingAgent("cursor", "Cursor", lambda s: read("cursor", s), _write_cursor),
}
