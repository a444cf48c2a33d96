"""Tools through the gateway, with the official client in both protocol eras."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.gateways.ground import Edge, text_of
from tests.rig.deadline import eventually_async
from tests.rig.upstream import Upstream
from tests.rig.world import agent_document
from watchkeeper.wire.decisions import Ask

HOSTILE_TEXT = (
    "\x1b]0;owned\x07\x1b[2J\x1b[1;1H\x1b]52;c;cm0gLXJm\x07\x9b31m[bold red]APPROVED[/]"
    "\u202eevil\u2066\u200b\x00\x08\rfake prompt $ \x1bP+q544e\x1b\\\x1b[c"
)

ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"])


@ERAS
async def test_an_agent_sees_only_what_its_contract_allows(edge: Edge, mode: Any) -> None:
    token = await edge.open_run()
    async with edge.mcp(token, mode) as client:
        listed = await client.list_tools()
    names = [tool.name for tool in listed.tools]
    assert "books_create_refund" in names
    assert "books_close_account" not in names
    refund = next(tool for tool in listed.tools if tool.name == "books_create_refund")
    assert refund.description == "Refund part or all of a charge."
    assert refund.input_schema["required"] == ["charge_id", "amount_usd"]


@ERAS
async def test_a_permitted_call_runs_with_the_planes_credential(
    edge: Edge, books: Upstream, mode: Any
) -> None:
    token = await edge.open_run()
    before = len(books.executions("lookup_charge"))
    async with edge.mcp(token, mode) as client:
        result = await client.call_tool("books.lookup_charge", {"charge_id": "ch_1"})
    assert not result.is_error
    assert (result.structured_content or {})["amount_usd"] == 120.0
    assert len(books.executions("lookup_charge")) == before + 1
    assert set(books.credentials_seen()) == {"Bearer s3cr3t-canary"}
    (outcome,) = await edge.events("outcome.recorded")
    assert outcome["status"] == "succeeded"
    assert (result.meta or {})["watchkeeper/decision"].startswith("dec_")


@ERAS
async def test_a_refusal_says_why_in_text_and_structure(edge: Edge, mode: Any) -> None:
    token = await edge.open_run()
    async with edge.mcp(token, mode) as client:
        result = await client.call_tool("books.close_account", {})
    assert result.is_error
    assert "DENIED by rule contract/clerk/tools" in text_of(result)
    structured = result.structured_content or {}
    assert (structured["message"], structured["status"]) == (text_of(result), "denied")
    assert (result.meta or {})["watchkeeper/retryable"] is False


async def test_bad_arguments_are_refused_before_the_upstream(edge: Edge, books: Upstream) -> None:
    token = await edge.open_run()
    before = len(books.executions())
    async with edge.mcp(token) as client:
        result = await client.call_tool("books.create_refund", {"charge_id": "x; drop"})
    assert result.is_error
    assert "tool/books.create_refund/schema" in text_of(result)
    assert len(books.executions()) == before


@ERAS
async def test_a_held_call_goes_on_once_a_person_approves(
    edge: Edge, books: Upstream, mode: Any
) -> None:
    token = await edge.open_run()
    reported: list[str | None] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        reported.append(message)

    before = books.refunded("ch_2")
    async with edge.mcp(token, mode) as client:
        call = asyncio.create_task(
            client.call_tool(
                "books.create_refund",
                {"charge_id": "ch_2", "amount_usd": 300},
                progress_callback=note,
            )
        )
        request = await edge.vote()
        result = await call
    assert not result.is_error, text_of(result)
    assert books.refunded("ch_2") == before + 300
    assert reported == [f"waiting for a person: {request}"]


async def test_a_rejected_call_is_refused_with_the_persons_reason(
    edge: Edge, books: Upstream
) -> None:
    token = await edge.open_run()
    before = books.refunded("ch_2")
    async with edge.mcp(token) as client:
        call = asyncio.create_task(
            client.call_tool("books.create_refund", {"charge_id": "ch_2", "amount_usd": 301})
        )
        request = await edge.vote("reject", "the customer has been refunded already")
        result = await call
    assert result.is_error
    assert f"approval/{request}" in text_of(result)
    assert "refunded already" in text_of(result)
    assert books.refunded("ch_2") == before


async def test_a_client_that_cannot_wait_asks_again_and_it_runs_once(
    edge: Edge, books: Upstream
) -> None:
    await edge.apply(agent_document(hold_seconds=0))
    token = await edge.open_run()
    arguments = {"charge_id": "ch_3", "amount_usd": 250}
    before = books.refunded("ch_3")
    async with edge.mcp(token) as client:
        held = await client.call_tool("books.create_refund", arguments)
        again = await client.call_tool("books.create_refund", arguments)
        assert held.is_error
        assert "PENDING APPROVAL" in text_of(held)
        assert held.structured_content["request"] == again.structured_content["request"]
        assert held.structured_content["retryable"] is True
        await edge.vote()
        assert books.refunded("ch_3") == before
        done = await client.call_tool("books.create_refund", arguments)
        assert not done.is_error
        assert books.refunded("ch_3") == before + 250
        again = await client.call_tool("books.create_refund", arguments)
        assert (again.structured_content, again.meta) == (done.structured_content, done.meta)
    assert books.refunded("ch_3") == before + 250


@ERAS
async def test_an_upstreams_error_is_the_agents_to_read(edge: Edge, mode: Any) -> None:
    token = await edge.open_run()
    async with edge.mcp(token, mode) as client:
        result = await client.call_tool("books.fail", {"message": "the ledger is closed"})
    assert result.is_error
    assert "the ledger is closed" in text_of(result)
    (outcome,) = await edge.events("outcome.recorded")
    assert outcome["status"] == "failed"


@ERAS
async def test_hostile_bytes_reach_the_agent_and_no_log(
    edge: Edge, mode: Any, caplog: pytest.LogCaptureFixture
) -> None:
    token = await edge.open_run()
    caplog.set_level(0, logger="watchkeeper")
    async with edge.mcp(token, mode) as client:
        result = await client.call_tool("books.hostile", {})
        await client.call_tool("books.fail", {"message": HOSTILE_TEXT})
    assert text_of(result) == HOSTILE_TEXT
    assert "\x1b" not in caplog.text
    assert "s3cr3t-canary" not in caplog.text
    assert all("\x1b" not in str(body) for body in await edge.events("outcome.recorded"))


async def test_a_kill_cuts_the_call_in_flight(edge: Edge, books: Upstream) -> None:
    token = await edge.open_run()
    async with edge.mcp(token) as client:
        call = asyncio.create_task(client.call_tool("books.wait", {"label": "never"}))

        async def running() -> bool:
            return {"label": "never"} in books.executions("wait_until_told")

        await eventually_async(running, "the upstream runs the call")
        lock = await edge.stop_agent()
        result = await call
    assert result.is_error
    assert f"STOPPED: lock {lock}" in text_of(result)
    (outcome,) = await edge.events("outcome.recorded")
    assert outcome["status"] == "unknown"
    async with edge.mcp(token) as client:
        refused = await client.call_tool("books.echo", {"text": "still there?"})
    assert f"DENIED by rule lock/{lock}" in text_of(refused)


async def test_time_that_runs_out_is_one_hold_on_record(edge: Edge) -> None:
    await edge.apply(agent_document(hold_seconds=1))
    token = await edge.open_run()
    async with edge.mcp(token) as client:
        held = await client.call_tool(
            "books.create_refund", {"charge_id": "ch_3", "amount_usd": 270}
        )
    assert (held.structured_content or {})["status"] == "pending"
    assert len(await edge.events("decision.held")) == 1


@ERAS
async def test_a_caller_that_gives_up_while_held_leaves_nothing_running(
    edge: Edge, books: Upstream, mode: Any
) -> None:
    token = await edge.open_run()
    before = books.refunded("ch_3")
    arguments = {"charge_id": "ch_3", "amount_usd": 260}
    async with edge.mcp(token, mode) as client:
        call = asyncio.create_task(client.call_tool("books.create_refund", arguments))
        await edge.pending()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await client.list_tools()  # what it has sent before this has arrived
        await edge.vote()
        assert books.refunded("ch_3") == before
        done = await client.call_tool("books.create_refund", arguments)
    assert not done.is_error
    assert books.refunded("ch_3") == before + 260


async def test_listeners_hear_that_tools_have_changed(edge: Edge) -> None:
    token = await edge.open_run()
    async with edge.mcp(token) as client, client.listen(tools_list_changed=True) as changes:
        await edge.apply(agent_document(tools=["echo"]))
        async with asyncio.timeout(20):
            async for change in changes:
                assert "Tools" in type(change).__name__
                break
        listed = await client.list_tools()
    assert [tool.name for tool in listed.tools] == ["books_echo"]


async def test_what_the_agent_performs_itself_is_not_waited_for(edge: Edge) -> None:
    token = await edge.open_run()
    ask = Ask(name="books.echo", arguments={"text": "a"}, idempotency_key="k-1")
    permit = await edge.decider.decide(token, ask)
    assert permit.verdict == "permit"
    async with asyncio.timeout(30), edge.mcp(token) as client:
        again = await client.call_tool(
            "books.echo",
            {"text": "a"},
            meta={"watchkeeper/idempotency-key": "k-1"},  # type: ignore[arg-type]
        )
    assert again.structured_content is not None
    assert again.structured_content["decision"] == permit.decision
    assert again.structured_content["status"] == "running"
