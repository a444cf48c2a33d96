"""The rig's MCP upstream speaks both protocol eras, and its effects can be counted."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import httpx
import pytest
from mcp import Client, StdioServerParameters

from tests.rig.deadline import eventually
from tests.rig.upstream import Upstream
from tests.rig.upstream_server import HOSTILE_TEXT


@pytest.mark.parametrize("mode", ["auto", "legacy", "2026-07-28"])
async def test_a_refund_is_a_changed_row(upstream: Upstream, mode: str) -> None:
    async with Client(upstream.url, mode=mode) as client:
        arguments = {"charge_id": "ch_1", "amount_usd": 30.5}
        result = await client.call_tool("create_refund", arguments)
    assert not result.is_error
    assert upstream.refunded("ch_1") == pytest.approx(30.5)
    assert upstream.executions("create_refund") == [{"amount_usd": 30.5, "charge_id": "ch_1"}]


async def test_stdio_serves_the_same_state_to_any_caller(tmp_path: Path) -> None:
    upstream = Upstream(tmp_path / "upstream")
    command, *arguments = upstream.command
    bare = {"PATH": os.environ["PATH"], "UPSTREAM_CREDENTIAL": "sealed"}
    parameters = StdioServerParameters(command=command, args=arguments, env=bare)
    async with Client(parameters) as client:
        result = await client.call_tool("lookup_charge", {"charge_id": "ch_2"})
    assert result.structured_content == {
        "id": "ch_2",
        "customer": "grace",
        "amount_usd": 480.0,
        "refunded_usd": 0.0,
    }
    assert upstream.executions() == [{"charge_id": "ch_2"}]
    assert upstream.credentials_seen() == ["sealed"]


async def test_failure_and_hostile_text_come_through(upstream: Upstream) -> None:
    async with Client(upstream.url) as client:
        failed = await client.call_tool("fail", {"message": "no luck"})
        hostile = await client.call_tool("hostile", {})
    assert failed.is_error
    assert "no luck" in failed.content[0].text  # type: ignore[union-attr]
    assert hostile.content[0].text == HOSTILE_TEXT  # type: ignore[union-attr]


async def test_a_waiting_call_answers_when_told(upstream: Upstream) -> None:
    async with Client(upstream.url) as client:
        call = asyncio.create_task(client.call_tool("wait_until_told", {"label": "door"}))
        await asyncio.to_thread(eventually, lambda: upstream.executions("wait_until_told"))
        assert not call.done()
        upstream.tell("door", "open")
        result = await call
    assert result.content[0].text == "open"  # type: ignore[union-attr]


def test_a_wrong_credential_is_refused_and_noted(tmp_path: Path) -> None:
    upstream = Upstream(tmp_path / "upstream", credential="Bearer right").start()
    try:
        answer = httpx.post(upstream.url, headers={"authorization": "Bearer wrong"}, json={})
        assert answer.status_code == httpx.codes.UNAUTHORIZED
        assert upstream.credentials_seen() == ["Bearer wrong"]
    finally:
        upstream.stop()


def test_it_keeps_address_and_state_when_started_again(upstream: Upstream) -> None:
    address = upstream.url
    upstream.add_charge("ch_9", 5.0)
    upstream.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(address)
    assert upstream.start().url == address
    assert upstream.refunded("ch_9") == 0
