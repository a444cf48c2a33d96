"""Tools that run at the provider: allowed as any tool is, taken out, or refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.gateways.ground import Edge, open_edge
from tests.rig.provider import Provider
from tests.rig.world import POLICY, agent_document, upstream_document, world
from watchkeeper.kill.model import LockTarget, NewLock

SERVER = "http://127.0.0.1:9/mcp"
ASK: dict[str, Any] = {"model": "small-fast", "input": "one two"}
CHAT: dict[str, Any] = {"model": "small-fast", "messages": [{"role": "user", "content": "one two"}]}
FUNCTION: Any = {"type": "function", "name": "f", "parameters": {"type": "object"}}
WEB: Any = {"type": "web_search_preview_2025_03_11"}
CODE: Any = {"type": "code_interpreter", "container": {"type": "auto"}}
BOOKS: Any = {
    "type": "mcp",
    "server_label": "books",
    "server_url": SERVER,
    "authorization": "agents-own",
    "require_approval": "never",
}
POLICIES = """
@id("no-code-for-ada")
@message("Nothing of ada's is computed elsewhere.")
forbid (principal, action == Action::"use_tool", resource == Tool::"hosted.code_interpreter")
when { context.on_behalf_of == "customer/ada" };

@id("images-are-looked-at")
@message("A person looks at what is drawn.")
@obligation("require_approval")
@approver_role("finance-ops")
forbid (principal, action == Action::"use_tool", resource == Tool::"hosted.image_generation")
unless { context.approvals.contains("finance-ops") };
"""


def tool(name: str, **more: Any) -> str:
    """Return the document of a tool that runs at the provider."""
    return json.dumps(
        {"tool": {"name": name, "does": "Runs at the provider.", "access": "read", **more}}
    )


def clerk(*hosted: str, strip: bool = False, approval: str = "", hold: int = 0) -> str:
    """Return a contract that names hosted tools."""
    names = [
        f"{{name: {name}, requires_approval: {str(name == approval).lower()}}}" for name in hosted
    ]
    document = agent_document(hold_seconds=hold)
    document = document.replace("allowlist: [", "allowlist: [" + "".join(f"{n}, " for n in names))
    routing = "{default: small-fast, hosted_tools: strip}" if strip else "{default: small-fast}"
    return document.replace("{default: small-fast}", routing)


@pytest.fixture
def provider(model_provider: Provider) -> Provider:
    """The shared provider, which behaves."""
    model_provider.wish()
    return model_provider


@asynccontextmanager
async def edge_with(
    directory: Path, provider: Provider, agent: str, *documents: str, policy: str = POLICY
) -> AsyncIterator[Edge]:
    """Gateways under this contract."""
    documents = (*documents, tool("hosted.web_search"), tool("hosted.code_interpreter"))
    made = world(
        *documents,
        provider_url=provider.url,
        agent=agent,
        upstream=upstream_document(url=SERVER),
    )
    async with open_edge(directory, *made, policy=policy) as edge:
        yield edge


def sent(provider: Provider) -> dict[str, Any]:
    """What the provider was last sent."""
    found: dict[str, Any] = provider.requests()[-1]["body"]
    return found


async def test_a_tool_on_the_allowlist_passes_as_it_came(
    tmp_path: Path, provider: Provider
) -> None:
    async with edge_with(tmp_path, provider, clerk("hosted.web_search")) as edge:
        token = await edge.open_run()
        async with edge.openai(token) as client:
            await client.responses.create(**ASK, tools=[FUNCTION, WEB], tool_choice="required")
            assert sent(provider)["tools"] == [FUNCTION, WEB]
            await client.chat.completions.create(**CHAT, web_search_options={})
            assert sent(provider)["web_search_options"] == {}
            with pytest.raises(openai.PermissionDeniedError, match="code_interpreter"):
                await client.responses.create(**ASK, tools=[WEB, CODE])
        (first, *_) = await edge.events("decision.permitted")
    assert first["hosted"] == ["hosted.web_search"]


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        ({"tools": [FUNCTION, WEB, CODE]}, {"tools": [FUNCTION, WEB]}),
        ({"tools": [CODE], "tool_choice": "required", "parallel_tool_calls": True}, {}),
        (
            {"tools": [FUNCTION, CODE], "tool_choice": {"type": "code_interpreter"}},
            {"tools": [FUNCTION]},
        ),
        (
            {
                "tools": [FUNCTION, BOOKS],
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "auto",
                    "tools": [
                        {"type": "function", "name": "f"},
                        {"type": "mcp", "server_label": "books"},
                    ],
                },
            },
            {
                "tools": [FUNCTION],
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "auto",
                    "tools": [{"type": "function", "name": "f"}],
                },
            },
        ),
        ({"prompt": {"id": "pmpt_1"}}, {}),
    ],
)
async def test_a_contract_that_strips_takes_out_what_it_does_not_name(
    tmp_path: Path, provider: Provider, asked: dict[str, Any], left: dict[str, Any]
) -> None:
    async with edge_with(tmp_path, provider, clerk("hosted.web_search", strip=True)) as edge:
        token = await edge.open_run()
        async with edge.openai(token) as client:
            raw = await client.responses.with_raw_response.create(**ASK, **asked)
        (permitted,) = await edge.events("decision.permitted")
    without_rest = {k: v for k, v in sent(provider).items() if k not in ("model", "input")}
    without_rest.pop("max_output_tokens")
    assert without_rest == left
    (duty,) = permitted["obligations"]
    assert (duty["kind"], duty["policy"]) == ("strip", "contract/clerk/hosted_tools")
    assert raw.headers["x-watchkeeper-stripped"] == ", ".join(duty["tools"])


async def test_items_bring_no_tool_past_a_contract_that_strips(
    tmp_path: Path, provider: Provider
) -> None:
    item = {"type": "additional_tools", "role": "developer", "tools": [FUNCTION, CODE]}
    async with edge_with(tmp_path, provider, clerk(strip=True)) as edge:
        token = await edge.open_run()
        async with edge.openai(token) as client:
            said: Any = [item, {"role": "user", "content": "go"}]
            await client.responses.create(model="small-fast", input=said)
    assert sent(provider)["input"] == [{**item, "tools": [FUNCTION]}, said[1]]


@pytest.mark.parametrize(
    ("server", "passes"),
    [
        (BOOKS, True),
        ({**BOOKS, "server_url": SERVER + "/"}, True),
        ({**BOOKS, "server_url": "http://evil.example/mcp"}, False),
        ({**BOOKS, "server_url": SERVER + "?to=evil"}, False),
        ({**BOOKS, "server_label": "other"}, False),
        ({"type": "mcp", "server_label": "books", "connector_id": "connector_gmail"}, False),
        ({"type": "mcp", "server_label": "books", "tunnel_id": "t"}, False),
    ],
)
async def test_a_tool_server_is_where_its_upstream_is(
    tmp_path: Path, provider: Provider, server: Any, passes: bool
) -> None:
    agent = clerk("hosted.mcp.books", "hosted.mcp.other")
    documents = tool("hosted.mcp.books"), tool("hosted.mcp.other")
    async with edge_with(tmp_path, provider, agent, *documents) as edge:
        token = await edge.open_run()
        before = len(provider.requests())
        async with edge.openai(token) as client:
            if passes:
                await client.responses.create(**ASK, tools=[server])
                assert sent(provider)["tools"] == [server]
            else:
                with pytest.raises(openai.PermissionDeniedError) as refused:
                    await client.responses.create(**ASK, tools=[server])
                assert "server_url" in str(refused.value) or "connector" in str(refused.value)
                assert len(provider.requests()) == before


async def test_an_approval_of_a_tool_server_passes_where_the_server_does(
    tmp_path: Path, provider: Provider
) -> None:
    said: Any = [
        {"type": "mcp_approval_request", "id": "m1", "server_label": "books", "name": "x",
         "arguments": "{}"},
        {"type": "mcp_approval_response", "approval_request_id": "m1", "approve": True},
    ]  # fmt: skip
    agent = clerk("hosted.mcp.books", "hosted.mcp.other")
    async with edge_with(tmp_path, provider, agent, tool("hosted.mcp.books")) as edge:
        token = await edge.open_run()
        async with edge.openai(token) as client:
            await client.responses.create(model="small-fast", input=said, tools=[BOOKS])
            other: Any = {**BOOKS, "server_label": "other"}
            with pytest.raises(openai.PermissionDeniedError, match="approval-response"):
                await client.responses.create(model="small-fast", input=said, tools=[other])


async def test_a_lock_on_a_tool_stops_it_at_the_provider_too(
    tmp_path: Path, provider: Provider
) -> None:
    async with edge_with(tmp_path, provider, clerk("hosted.web_search", strip=True)) as edge:
        token = await edge.open_run()
        lock, _ = await edge.kill.lock(
            NewLock(
                LockTarget("tool", "hosted.web_search"), mode="stop", reason="x", by="person/owner"
            )
        )
        async with edge.openai(token) as client:
            with pytest.raises(openai.PermissionDeniedError) as refused:
                await client.responses.create(**ASK, tools=[WEB])
            await client.responses.create(**ASK)
    assert refused.value.body["rule"] == f"lock/{lock.lock}"  # type: ignore[index]


async def test_a_lock_cuts_a_call_whose_tool_runs_at_the_provider(
    tmp_path: Path, provider: Provider
) -> None:
    async with edge_with(tmp_path, provider, clerk("hosted.web_search")) as edge:
        token = await edge.open_run()
        provider.wish(hold_after_words=1)
        async with edge.openai(token) as client:
            events = aiter(await client.responses.create(**ASK, tools=[WEB], stream=True))
            await anext(events)
            lock, _ = await edge.kill.lock(
                NewLock(
                    LockTarget("tool", "hosted.web_search"),
                    mode="stop",
                    reason="x",
                    by="person/owner",
                )
            )
            with pytest.raises(openai.APIError, match=lock.lock):
                async for _ in events:
                    pass
        provider.wish()


@pytest.mark.parametrize("document", [{}, {"upstream": "books"}], ids=["by its label", "by name"])
async def test_a_lock_on_an_upstream_covers_it_where_the_provider_calls_it(
    tmp_path: Path, provider: Provider, document: dict[str, Any]
) -> None:
    books, upstream = tool("hosted.mcp.books", **document), LockTarget("upstream", "books")
    async with edge_with(tmp_path, provider, clerk("hosted.mcp.books"), books) as edge:
        token = await edge.open_run()
        provider.wish(hold_after_words=1)
        async with edge.openai(token) as client:
            events = aiter(await client.responses.create(**ASK, tools=[BOOKS], stream=True))
            await anext(events)
            lock, _ = await edge.kill.lock(
                NewLock(upstream, mode="stop", reason="x", by="person/owner")
            )
            with pytest.raises(openai.APIError, match=lock.lock):
                async for _ in events:
                    pass
            provider.wish()
            with pytest.raises(openai.PermissionDeniedError) as refused:
                await client.responses.create(**ASK, tools=[BOOKS])
            await client.responses.create(**ASK)
    assert refused.value.body["rule"] == f"lock/{lock.lock}"  # type: ignore[index]


async def test_policies_are_asked_of_each(tmp_path: Path, provider: Provider) -> None:
    agent = clerk("hosted.web_search", "hosted.code_interpreter", "hosted.image_generation")
    drawing = tool("hosted.image_generation")
    async with edge_with(tmp_path, provider, agent, drawing, policy=POLICY + POLICIES) as edge:
        token = await edge.open_run()
        async with edge.openai(token) as client:
            await client.responses.create(**ASK, tools=[WEB])
            with pytest.raises(openai.PermissionDeniedError) as refused:
                await client.responses.create(**ASK, tools=[WEB, CODE])
            with pytest.raises(openai.PermissionDeniedError) as held:
                await client.responses.create(**ASK, tools=[{"type": "image_generation"}])
    assert refused.value.body["rule"] == "policy/no-code-for-ada"  # type: ignore[index]
    assert held.value.body["rule"] == "policy/images-are-looked-at"  # type: ignore[index]
    assert held.value.body["code"] == "approval_pending"  # type: ignore[index]


async def test_a_contract_asks_a_person_of_a_tool_at_the_provider(
    tmp_path: Path, provider: Provider
) -> None:
    agent = clerk("hosted.web_search", approval="hosted.web_search", hold=20)
    async with edge_with(tmp_path, provider, agent) as edge:
        token = await edge.open_run()
        async with edge.openai(token) as client:
            await client.responses.create(**ASK)
            call = asyncio.create_task(client.responses.create(**ASK, tools=[WEB]))
            await edge.vote()
            assert (await call).output_text.startswith("one two")
        (held,) = await edge.events("decision.held")
    assert held["rule"] == "contract/clerk/requires_approval"


async def test_a_critical_tool_is_asked_about_whatever_the_contract_says(
    tmp_path: Path, provider: Provider
) -> None:
    agent = clerk("hosted.image_generation")
    critical = tool("hosted.image_generation", risk="critical")
    async with edge_with(tmp_path, provider, agent, critical) as edge:
        token = await edge.open_run()
        async with edge.openai(token) as client:
            with pytest.raises(openai.PermissionDeniedError) as held:
                await client.responses.create(**ASK, tools=[{"type": "image_generation"}])
    assert held.value.body["code"] == "approval_pending"  # type: ignore[index]
    assert held.value.body["rule"] == "risk/critical"  # type: ignore[index]


async def test_what_the_agent_performs_itself_is_no_tool_of_the_provider(
    tmp_path: Path, provider: Provider
) -> None:
    tools: Any = [
        FUNCTION,
        {"type": "custom", "name": "c"},
        {"type": "apply_patch"},
        {"type": "local_shell"},
        {"type": "computer"},
        {"type": "shell", "environment": {"type": "local"}},
        {"type": "tool_search", "execution": "client"},
        {"type": "namespace", "name": "n", "description": "d", "tools": [FUNCTION]},
    ]
    async with edge_with(tmp_path, provider, clerk()) as edge:
        token = await edge.open_run()
        async with edge.openai(token) as client:
            await client.responses.create(**ASK, tools=tools)
            others: Any = (
                {"type": "shell", "environment": {"type": "container_auto"}},
                {"type": "tool_search"},
                {"type": "namespace", "name": "n", "description": "d", "tools": [CODE]},
            )
            for hosted in others:
                with pytest.raises(openai.PermissionDeniedError):
                    await client.responses.create(**ASK, tools=[hosted])
    assert sent(provider)["tools"] == tools


async def test_a_hosted_tool_is_not_called_through_the_tool_gateway(
    tmp_path: Path, provider: Provider
) -> None:
    documents = tool("hosted.mcp.books", upstream="books")
    async with edge_with(tmp_path, provider, clerk("hosted.mcp.books"), documents) as edge:
        token = await edge.open_run()
        async with edge.mcp(token) as client:
            names = [one.title for one in (await client.list_tools()).tools]
        assert names
        assert "hosted.mcp.books" not in names
        async with edge.openai(token) as made:
            await made.responses.create(**ASK, tools=[BOOKS])


async def test_what_a_tool_may_find_is_held_only_where_it_runs(
    tmp_path: Path, provider: Provider
) -> None:
    agent = clerk("hosted.web_search", strip=True).replace('_per_run": 100000', '_per_run": 0.05')
    async with edge_with(tmp_path, provider, agent) as edge:
        token = await edge.open_run()
        async with edge.openai(token) as client:
            await client.responses.create(**ASK, tools=[FUNCTION, CODE])
            with pytest.raises(openai.APIStatusError, match="budget") as refused:
                await client.responses.create(**ASK, tools=[WEB])
            assert refused.value.status_code == 402
            await client.responses.create(**ASK, tools=[FUNCTION])
