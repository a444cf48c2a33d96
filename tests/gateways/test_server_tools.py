"""Tools of Anthropic's protocol that run at the provider: named, bounded and taken out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.gateways.message_calls import WINDOW, names, read
from watchkeeper.gateways.model.errors import ModelError


@pytest.mark.parametrize(
    ("tool", "name"),
    [
        ({"type": "web_search_20250305", "name": "web_search"}, "hosted.web_search"),
        ({"type": "web_search_20260318", "name": "web_search"}, "hosted.web_search"),
        ({"type": "web_fetch_20250910", "name": "web_fetch"}, "hosted.web_fetch"),
        ({"type": "code_execution_20250825", "name": "x"}, "hosted.code_execution"),
        ({"type": "bash_code_execution_20250825", "name": "x"}, "hosted.bash_code_execution"),
        ({"type": "mcp_toolset", "mcp_server_name": "Git Hub"}, "hosted.mcp.git_hub"),
        ({"type": "tool_search_tool_regex_20251119", "name": "x"}, "hosted.tool_search"),
        ({"type": "tool_search_tool_bm25", "name": "x"}, "hosted.tool_search"),
        ({"type": "advisor_20260301", "name": "advisor", "model": "x"}, "hosted.advisor"),
        ({"type": "From The Future!", "name": "x"}, "hosted.from_the_future"),
        ({"type": "bash_20250124\n", "name": "x"}, "hosted.bash_20250124"),
    ],
)
def test_tools_of_the_provider_are_known_by_name(tool: dict[str, Any], name: str) -> None:
    assert names(read(tools=[tool])) == [name]
    assert read(tools=[tool]).most_input_tokens(WINDOW) == WINDOW
    assert read(tools=[tool]).cache_key() is None


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "custom",
        "bash_20250124",
        "text_editor_20250728",
        "computer_20250124",
        "memory_20250818",
        "computer_toolset_20260801",
        "browser_toolset_20260801",
    ],
)
def test_tools_of_the_agent_are_not_hosted(kind: str | None) -> None:
    assert names(read(tools=[{"type": kind, "name": "x"}])) == []


def test_servers_and_skills_are_hosted_and_can_be_taken_out() -> None:
    call = read(
        {"anthropic-beta": "mcp-client-2025-11-20, context-management-2025-06-27"},
        mcp_servers=[{"type": "url", "name": "Hub", "url": "https://hub.example:8443/mcp?a=1"}],
        tools=[
            {"type": "mcp_toolset", "mcp_server_name": "Hub"},
            {"type": "web_search_20260318", "name": "web_search"},
            {"name": "mine", "input_schema": {"type": "object"}},
        ],
        container={"skills": [{"type": "anthropic", "skill_id": "pdf"}]},
        tool_choice={"type": "tool", "name": "web_search"},
    )
    assert names(call) == ["hosted.mcp.hub", "hosted.web_search", "hosted.code_execution"]
    assert call.hosted_tools[0].server_url == "https://hub.example:8443/mcp?a=1"
    assert "mcp-client" in call.headers["anthropic-beta"]
    sent = json.loads(call.forwarded("claude-x", None, frozenset(names(call))))
    assert [tool["name"] for tool in sent["tools"]] == ["mine"]
    assert sent.keys().isdisjoint({"mcp_servers", "container", "tool_choice"})
    everything = json.loads(call.forwarded("claude-x", None))
    assert len(everything["tools"]) == 3


def test_a_server_has_one_address() -> None:
    hub = {"type": "url", "name": "hub", "url": "https://hub.example/mcp"}
    assert len(read(mcp_servers=[hub, hub]).hosted_tools) == 1
    for other in ({**hub, "name": "Hub", "url": "https://evil.example"}, {"name": "hub"}):
        with pytest.raises(ModelError, match=r"hub|url"):
            read(mcp_servers=[hub, other])


def test_beta_features_that_let_the_provider_act_pass_only_with_such_a_tool() -> None:
    asked = (
        "mcp-client-2025-11-20,interleaved-thinking-2025-05-14,code-execution-2025-05-22,"
        "server-side-fallback-2026-07-01,Advisor-Tool-2026-03-01,compact-2026-01-12,,"
    )
    call = read({"anthropic-beta": asked, "anthropic-version": "2023-01-01"})
    assert call.headers == {
        "anthropic-version": "2023-01-01",
        "anthropic-beta": "interleaved-thinking-2025-05-14",
    }
