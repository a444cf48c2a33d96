"""What each framework is set to so that it is governed here: pure text and settings."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from watchkeeper.cli import hook
from watchkeeper.cli.gates import ISOLATED, Gate


@dataclass(frozen=True)
class Place:
    """Where a plane answers, and the file that an agent proves itself with."""

    url: str
    enrolment: Path
    gateway: str
    """What the plane's MCP gateway is called in a coding agent's settings."""

    def command(self, word: str, session: str = "") -> str:
        """Return the command that gives a `token` or a `header`, as a shell takes it.

        With a session, which the shell may expand, it is the same run's each time.
        """
        words = [sys.executable, *ISOLATED, hook.__file__, word, "--enrolment", str(self.enrolment)]
        return shlex.join(words) + (f' --session "{session}"' if session else "")

    def gate(self, agent: str, patience: int) -> str:
        """Return the command of a coding agent's hooks."""
        return Gate(agent, self.gateway, patience, self.enrolment).command


@dataclass(frozen=True)
class Setup:
    """What one framework is set to."""

    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables, as a shell sets them: one may run a command."""
    file: str | None = None
    """Its settings file, below the home directory."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What belongs into that file."""
    code: str = ""
    """What belongs elsewhere."""
    where: str = ""
    notes: tuple[str, ...] = ()


def _gateways(place: Place) -> dict[str, str]:
    token = "$WATCHKEEPER_RUN_TOKEN"  # noqa: S105 - the name of a variable
    return {
        "WATCHKEEPER_URL": place.url,
        "WATCHKEEPER_RUN_TOKEN": f"$({place.command('token')})",
        "WATCHKEEPER_MCP_URL": f"{place.url}/mcp",
        "OPENAI_BASE_URL": f"{place.url}/openai/v1",
        "OPENAI_API_KEY": token,
        "ANTHROPIC_BASE_URL": f"{place.url}/anthropic",
        "ANTHROPIC_API_KEY": token,
    }


_HEADERS = """\
import os

url = os.environ["WATCHKEEPER_MCP_URL"]
headers = {"Authorization": f"Bearer {os.environ['WATCHKEEPER_RUN_TOKEN']}"}
"""
_CODE: Mapping[str, str] = {
    "openai-agents": """\
from agents.mcp import MCPServerStreamableHttp

tools = MCPServerStreamableHttp(
    params={"url": url, "headers": headers}, client_session_timeout_seconds=60
)  # async with tools: Agent(..., mcp_servers=[tools])
""",
    "pydantic-ai": """\
# packages: pydantic-ai-slim[mcp,openai]
from pydantic_ai.mcp import MCPToolset

tools = MCPToolset(url, headers=headers)  # Agent("openai:MODEL", toolsets=[tools])
""",
    "langgraph": """\
# packages: langchain langchain-mcp-adapters langchain-openai
from langchain_mcp_adapters.client import MultiServerMCPClient

tools = MultiServerMCPClient(
    {"watchkeeper": {"transport": "streamable_http", "url": url, "headers": headers}}
)  # create_agent("openai:MODEL", await tools.get_tools())
""",
    "llamaindex": """\
# packages: llama-index-tools-mcp llama-index-llms-openai-like (OpenAI knows no model of yours)
from llama_index.llms.openai_like import OpenAILike
from llama_index.tools.mcp import BasicMCPClient, McpToolSpec

there = {"api_base": os.environ["OPENAI_BASE_URL"], "api_key": os.environ["OPENAI_API_KEY"]}
known = {"is_chat_model": True, "is_function_calling_model": True}

tools = McpToolSpec(client=BasicMCPClient(url, headers=headers))
# FunctionAgent(tools=await tools.to_tool_list_async(), llm=OpenAILike("MODEL", **there, **known))
""",
    "adk": """\
# packages: google-adk[mcp] litellm
from google.adk.tools.mcp_tool import McpToolset, StreamableHTTPConnectionParams

tools = McpToolset(connection_params=StreamableHTTPConnectionParams(url=url, headers=headers))
# LlmAgent(model=LiteLlm("openai/MODEL", api_base=os.environ["OPENAI_BASE_URL"]), tools=[tools])
""",
    "crewai": """\
# packages: crewai crewai-tools[mcp]
from crewai_tools import MCPServerAdapter

tools = MCPServerAdapter({"url": url, "transport": "streamable-http", "headers": headers})
# with tools as found: Agent(tools=list(found), llm=LLM(
#     model="openai/MODEL", base_url=os.environ["OPENAI_BASE_URL"]), ...)
""",
}
_MORE: Mapping[str, Mapping[str, str]] = {
    "openai-agents": {"OPENAI_AGENTS_DISABLE_TRACING": "1"},
    "langgraph": {"LANGSMITH_TRACING": "false"},
    # else it asks the internet for prices when it is imported
    "adk": {"LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    "crewai": {"CREWAI_DISABLE_TELEMETRY": "true"},
}
_ONE_START = "a token lasts as long as the contract's token_ttl_seconds: take one for each start"
_CURL = """\
curl -s "$WATCHKEEPER_URL/v1/decide?wait_seconds=30" \\
  -H "Authorization: Bearer $WATCHKEEPER_RUN_TOKEN" \\
  -d '{"name": "tickets.reply", "arguments": {"ticket": 1882}}'
curl -s "$WATCHKEEPER_MCP_URL" -H "Authorization: Bearer $WATCHKEEPER_RUN_TOKEN" \\
  -H "Content-Type: application/json" -H "Accept: application/json, text/event-stream" \\
  -d '{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}'
curl -s "$OPENAI_BASE_URL/models" -H "Authorization: Bearer $OPENAI_API_KEY"
"""


def _library(name: str) -> Callable[[Place], Setup]:
    def setup(place: Place) -> Setup:
        return Setup(
            environment=_gateways(place) | dict(_MORE.get(name, {})),
            code=_HEADERS + _CODE[name],
            where="in its program",
            notes=(_ONE_START, "what its program does by itself, without these, is not governed"),
        )

    return setup


def _curl(place: Place) -> Setup:
    return Setup(
        environment=_gateways(place), code=_CURL, where="then, for example", notes=(_ONE_START,)
    )


def _claude_code(place: Place) -> Setup:
    gate = {"type": "command", "command": place.gate("claude", 570), "timeout": 600}
    events = (
        "PreToolUse", "PostToolUse", "PostToolUseFailure", "SessionStart", "SessionEnd",
        "UserPromptSubmit",
    )  # fmt: skip
    # both helpers run again and again in a shell that Claude Code starts: one run for each of it
    session = "claude-code-$PPID"
    helper = place.command("header", session)
    server = {"type": "http", "url": f"{place.url}/mcp", "headersHelper": helper}
    models = {
        "apiKeyHelper": place.command("token", session),
        "env": {
            "ANTHROPIC_BASE_URL": f"{place.url}/anthropic",
            "CLAUDE_CODE_API_KEY_HELPER_TTL_MS": "600000",
        },
    }
    return Setup(
        file=".claude/settings.json",
        settings={"hooks": {event: [{"matcher": "*", "hooks": [gate]}] for event in events}},
        code=(
            f"claude mcp add-json --scope user {place.gateway} {shlex.quote(json.dumps(server))}\n"
            "# to have its model calls governed too, add to the settings file:\n"
            f"{json.dumps(models, indent=2)}\n"
        ),
        where="to offer it the tools of the MCP gateway",
        notes=(
            "a repository's settings can turn hooks off: let no rule allow tools (the hooks do),",
            "or put them into the managed settings: --file /etc/claude-code/managed-settings.json",
        ),
    )


def _codex(place: Place) -> Setup:
    gate = {"type": "command", "command": place.gate("codex", 280), "timeout": 300}
    events = ("PreToolUse", "PostToolUse", "SessionStart", "UserPromptSubmit")
    return Setup(
        environment={"WATCHKEEPER_RUN_TOKEN": f"$({place.command('token')})"},
        file=".codex/hooks.json",
        settings={"hooks": {event: [{"hooks": [gate]}] for event in events}},
        code=(
            'model_provider = "watchkeeper"\n\n'
            "[features]\nhooks = true\n\n"
            "[model_providers.watchkeeper]\n"
            f'name = "watchkeeper"\nbase_url = "{place.url}/openai/v1"\n'
            'env_key = "WATCHKEEPER_RUN_TOKEN"\nwire_api = "responses"\n\n'
            f'[mcp_servers.{place.gateway}]\nurl = "{place.url}/mcp"\n'
            'bearer_token_env_var = "WATCHKEEPER_RUN_TOKEN"\n'
        ),
        where="in ~/.codex/config.toml",
        notes=(
            "Codex passes over hooks that nobody trusted yet: start it once and trust them",
            _ONE_START,
        ),
    )


def _gemini(place: Place) -> Setup:
    gate = {"type": "command", "command": place.gate("gemini", 280), "timeout": 300_000}
    events = ("BeforeTool", "AfterTool", "SessionStart", "SessionEnd", "BeforeAgent")
    headers = {"Authorization": "Bearer $WATCHKEEPER_RUN_TOKEN"}
    server = {"httpUrl": f"{place.url}/mcp", "headers": headers}
    return Setup(
        environment={"WATCHKEEPER_RUN_TOKEN": f"$({place.command('token')})"},
        file=".gemini/settings.json",
        settings={
            "hooks": {event: [{"matcher": ".*", "hooks": [gate]}] for event in events},
            "mcpServers": {place.gateway: server},
        },
        notes=("its calls of Gemini's own models pass no gateway here", _ONE_START),
    )


def _cursor(place: Place) -> Setup:
    gate = {"command": place.gate("cursor", 40), "timeout": 60, "failClosed": True}
    events = (
        "preToolUse", "postToolUse", "postToolUseFailure", "sessionStart", "sessionEnd",
        "beforeSubmitPrompt",
    )  # fmt: skip
    headers = {"Authorization": "Bearer ${env:WATCHKEEPER_RUN_TOKEN}"}
    server = {"mcpServers": {place.gateway: {"url": f"{place.url}/mcp", "headers": headers}}}
    return Setup(
        environment={"WATCHKEEPER_RUN_TOKEN": f"$({place.command('token')})"},
        file=".cursor/hooks.json",
        settings={"version": 1, "hooks": {event: [gate] for event in events}},
        code=f"{json.dumps(server, indent=2)}\n",
        where="in ~/.cursor/mcp.json",
        notes=("an older Cursor without preToolUse has beforeShellExecution instead", _ONE_START),
    )


FRAMEWORKS: Mapping[str, Callable[[Place], Setup]] = {
    **{name: _library(name) for name in _CODE},
    "claude-code": _claude_code,
    "codex": _codex,
    "gemini": _gemini,
    "cursor": _cursor,
    "curl": _curl,
}
CODING_AGENTS: Mapping[str, str] = {
    "claude-code": "claude",
    "codex": "codex",
    "gemini": "gemini",
    "cursor": "cursor",
}
"""What `watchkeeper hook` calls those frameworks that have hooks."""
