"""What a reported span is about: OpenTelemetry GenAI, OpenInference, OpenLLMetry, MCP.

Sources: github.com/open-telemetry/semantic-conventions-genai, github.com/Arize-ai/openinference
(spec/semantic_conventions.md), github.com/traceloop/openllmetry
(packages/opentelemetry-semantic-conventions-ai).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from watchkeeper.core.text import make_safe
from watchkeeper.traces.telemetry.model import Named, Said
from watchkeeper.wire.function_names import with_digest

_OTHER_SIGNS = re.compile(r"[\W_]+")
MODEL_CALLS = frozenset({"chat", "text_completion", "generate_content", "embeddings"})
TOOL_CALLS = frozenset({"execute_tool"})
UNNAMED_TOOL = "mcp_tool"
"""What Claude Code's log records call any tool of a server, unless it is told to say more."""
LONGEST_NAME = 120
LONGEST_SUBJECT = 200
_OPERATIONS = MODEL_CALLS | TOOL_CALLS | {
    "invoke_agent", "create_agent", "invoke_workflow", "retrieval", "plan",
    "search_memory", "update_memory", "create_memory", "upsert_memory", "delete_memory",
}  # fmt: skip
"""Operations of the GenAI conventions that are taken as they are."""
_OPENINFERENCE: Mapping[str, str] = {
    "LLM": "chat",
    "EMBEDDING": "embeddings",
    "TOOL": "execute_tool",
    "AGENT": "invoke_agent",
    "RETRIEVER": "retrieval",
    "RERANKER": "rerank",
    "CHAIN": "chain",
    "GUARDRAIL": "guardrail",
    "EVALUATOR": "evaluation",
    "PROMPT": "prompt",
}
_OPENLLMETRY: Mapping[str, str] = {
    "tool": "execute_tool",
    "agent": "invoke_agent",
    "workflow": "invoke_workflow",
    "task": "task",
}
_LLM_REQUESTS: Mapping[str, str] = {
    "chat": "chat",
    "completion": "text_completion",
    "embedding": "embeddings",
    "rerank": "rerank",
}
_CLAUDE: Mapping[str, str] = {
    "claude_code.llm_request": "chat",
    "claude_code.tool": "execute_tool",
    "claude_code.interaction": "invoke_agent",
}
EVENTS: Mapping[str, str] = {
    "claude_code.user_prompt": "user_prompt",
    "claude_code.tool_decision": "tool_decision",
    "claude_code.tool_result": "execute_tool",
    "claude_code.api_request": "chat",
    "claude_code.api_error": "chat",
    "codex.user_prompt": "user_prompt",
    "codex.tool_decision": "tool_decision",
    "codex.tool_result": "execute_tool",
    "codex.api_request": "chat",
    "gemini_cli.user_prompt": "user_prompt",
    "gemini_cli.tool_call": "execute_tool",
    "gemini_cli.api_response": "generate_content",
    "gemini_cli.api_error": "generate_content",
    "gen_ai.client.inference.operation.details": "chat",
}
"""Log records that tell of an action, and of what kind it is."""
_CLIENTS: Mapping[str, str] = {"claude-code": "claude", "codex": "codex", "gemini-cli": "gemini"}
"""Coding agents whose hooks open runs, by how the services begin that they report as."""
_TOOLS = (
    "gen_ai.tool.name", "tool.name", "tool_name", "function_name", "mcp.tool.name",
    "traceloop.entity.name",
)  # fmt: skip
_MODELS = (
    "gen_ai.request.model", "gen_ai.response.model", "llm.model_name", "embedding.model_name",
    "llm.request.model", "model",
)  # fmt: skip
_AGENTS = ("gen_ai.agent.name", "agent.name", "agent_name")
_RUNS = ("watchkeeper.run", "watchkeeper.run.id", "gen_ai.conversation.id", "session.id")
_SESSIONS = (
    "gen_ai.conversation.id", "session.id", "conversation.id",
    "traceloop.association.properties.session_id",
)  # fmt: skip
_ANSWERS = ("gen_ai.response.id",)
_CALLS = ("gen_ai.tool.call.id", "tool_call.id", "tool_use_id", "call_id", "tool.id")


def name(said: Said) -> Named:
    """Return what a span is about; where no convention tells, its own name is its operation."""
    found = said.attributes
    operation = _operation(said)
    if operation in TOOL_CALLS:
        subject = _first(found, _TOOLS) or _after(said.name.removeprefix("MCP send "))
    elif operation in MODEL_CALLS:
        subject = _first(found, _MODELS) or _after(said.name)
    elif operation in ("invoke_agent", "create_agent"):
        subject = _first(found, _AGENTS) or _after(said.name)
    else:
        subject = _first(found, ("gen_ai.data_source.id", "traceloop.entity.name")) or ""
    client = client_of(said.resource)
    return Named(
        operation,
        make_safe(subject, limit=LONGEST_SUBJECT),
        # what they call agents are parts of themselves
        _first(found, _AGENTS) if client is None else None,
        run_of(found, said.resource),
        session_of(found, said.resource),
        _first(found, _ANSWERS if operation in MODEL_CALLS else _CALLS),
        client,
    )


def client_of(resource: Mapping[str, Any]) -> str | None:
    """Return the coding agent that reports, as hooks name it."""
    service = resource.get("service.name")
    if not isinstance(service, str):
        return None
    return next((name for start, name in _CLIENTS.items() if service.startswith(start)), None)


def run_of(attributes: Mapping[str, Any], resource: Mapping[str, Any]) -> str | None:
    """Return the run that something says it belongs to, of the plane's own ids."""
    return _first(attributes, _RUNS, "run_") or _first(resource, _RUNS, "run_")


def session_of(attributes: Mapping[str, Any], resource: Mapping[str, Any]) -> str | None:
    """Return the session that something says it is of."""
    return _first(attributes, _SESSIONS) or _first(resource, _SESSIONS)


def _operation(said: Said) -> str:
    found = said.attributes
    stated = found.get("gen_ai.operation.name")
    if isinstance(stated, str) and stated in _OPERATIONS:
        return stated
    for attribute, names in (
        ("openinference.span.kind", _OPENINFERENCE),
        ("traceloop.span.kind", _OPENLLMETRY),
        ("llm.request.type", _LLM_REQUESTS),
    ):
        value = found.get(attribute)
        if isinstance(value, str) and value in names:
            return names[value]
    if found.get("mcp.method.name") == "tools/call":
        return "execute_tool"
    known = EVENTS.get(said.name) if said.logged else _CLAUDE.get(said.name)
    if known is not None:
        return known
    return make_safe(said.name, limit=LONGEST_NAME) or "span"


def _first(found: Mapping[str, Any], names: tuple[str, ...], start: str = "") -> str | None:
    for one in names:
        value = found.get(one)
        if isinstance(value, str) and value and value.startswith(start):
            return make_safe(value, limit=LONGEST_SUBJECT)
    return None


def _after(text: str) -> str:
    """Return what a span's name says behind its operation: `execute_tool NAME`."""
    return text.partition(" ")[2] or text


def is_same_tool(reported: str, decided: str) -> bool:
    """Tell whether a tool that an agent speaks of is one of the plane's: they know it under what
    the MCP gateway lists, and clients put the server in front.
    """
    said, known = _plain(reported), _plain(decided)
    if said == known or said.endswith("_" + known) or known.endswith("_" + said):
        return True
    return said.endswith(_plain(with_digest(decided)))


def _plain(text: str) -> str:
    return _OTHER_SIGNS.sub("_", text.lower())
