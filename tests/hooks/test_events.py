"""Events of every shape, and the names that contracts have for what they tell of."""

from __future__ import annotations

import json
import re
from typing import Literal

from hypothesis import example, given, settings
from hypothesis import strategies as st

from watchkeeper.core.errors import Invalid
from watchkeeper.gateways.hooks.agents import AGENTS
from watchkeeper.gateways.hooks.model import Said
from watchkeeper.gateways.hooks.names import builtin_name, server_name
from watchkeeper.wire.base import NAME

texts = st.text(min_size=1, max_size=80)


@settings(max_examples=150, deadline=None)
@given(st.tuples(texts, texts), st.tuples(texts, texts))
@example(("a.b", "c"), ("a", "b.c"))
@example(("github", "get"), ("github", "Get"))
def test_no_two_tools_of_servers_share_a_name(one: tuple[str, str], two: tuple[str, str]) -> None:
    names = server_name(*one), server_name(*two)
    assert all(re.fullmatch(NAME, name) for name in names)
    assert (names[0] == names[1]) == (one == two)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(AGENTS)), texts, st.tuples(texts, texts))
def test_no_tool_of_an_agent_is_named_like_one_of_a_server(
    agent: str, tool: str, server: tuple[str, str]
) -> None:
    assert builtin_name(agent, tool) != server_name(*server)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
fields = st.sampled_from(
    ["hook_event_name", "session_id", "conversation_id", "tool_name", "tool_input", "tool_use_id",
     "tool_response", "mcp_context", "cwd", "command"]
)  # fmt: skip
names = st.sampled_from(
    ["PreToolUse", "BeforeTool", "preToolUse", "beforeShellExecution", "beforeMCPExecution",
     "PostToolUse", "AfterTool", "afterMCPExecution", "SessionStart", "SessionEnd"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted(AGENTS)),
    st.dictionaries(fields, values),
    names,
    st.sampled_from(["deny", "stop", "defer"]),
)
def test_any_event_is_read_or_refused_and_no_refusal_reads_as_a_permit(
    agent: str, sent: dict[str, object], name: str, word: Literal["deny", "stop", "defer"]
) -> None:
    known = AGENTS[agent]
    for event in (sent, {"session_id": "s", "tool_name": "T", "tool_input": {}, **sent}):
        try:
            read = known.read({**event, "hook_event_name": name})
        except Invalid:
            continue
        assert read.moment in ("start", "end") or re.fullmatch(NAME, read.action)
    said = json.dumps(known.write(name, Said(word, "no")))
    assert '"allow"' not in said
    ends = agent in ("claude", "gemini") or (agent == "codex" and name != "PreToolUse")
    assert ('"continue": false' in said) == (word == "stop" and ends)
