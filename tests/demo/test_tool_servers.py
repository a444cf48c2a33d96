"""The tool servers are real: MCP in both eras, a credential, rows that change, a log of calls."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path
from typing import Any, Literal

import pytest
from mcp import Client, StdioServerParameters

from tests.demo.serving import KEY, tool_server, toolbox
from watchkeeper.core.digest import parse
from watchkeeper.core.text import has_hidden, make_safe
from watchkeeper.demo.credentials import ensure_credential
from watchkeeper.demo.sample import read_work
from watchkeeper.demo.tool_servers.state import ToolState
from watchkeeper.demo.tool_servers.tool import Tool, ToolFailed, Workplace
from watchkeeper.demo.tool_servers.workplaces import WORKPLACES

REFUND = {"charge_id": "ch_0084", "amount_usd": 4000, "reason": "arrived broken"}


def rows(state: ToolState, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in state.connection.execute(query).fetchall()]


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_a_refund_is_a_row_and_a_logged_call(
    tmp_path: Path, era: Literal["modern", "legacy"]
) -> None:
    async with tool_server("payments", tmp_path) as (url, state), toolbox(url, era) as box:
        names = {tool["function"]["name"] for tool in await box.offered()}
        assert {"lookup_charge", "create_refund"} <= names
        paid = await box.use("create_refund", REFUND, "")
        assert paid.refusal is None
        assert parse(paid.text)["amount_usd"] == 4000
        assert rows(state, "SELECT charge, cents FROM refunds") == [("ch_0084", 400_000)]
        again = await box.use("create_refund", REFUND, "")
        assert again.refusal is None
        assert "left to refund" in parse(again.text)["error"]
        assert rows(state, "SELECT tool, ok FROM calls") == [
            ("create_refund", 1),
            ("create_refund", 0),
        ]
        assert len(rows(state, "SELECT * FROM refunds")) == 1


async def test_without_the_credential_nothing_happens(tmp_path: Path) -> None:
    async with tool_server("payments", tmp_path) as (url, state):
        async with toolbox(url, token="wkr_of_an_agent") as box:
            used = await box.use("create_refund", REFUND, "")
        assert used.refusal is not None
        assert rows(state, "SELECT * FROM calls") == []
        assert rows(state, "SELECT * FROM refunds") == []


async def test_a_ticket_comes_back_with_its_escape_sequences(tmp_path: Path) -> None:
    hostile = next(i for i in read_work("customer-support") if "\x1b" in i["goal"])
    async with tool_server("tickets", tmp_path) as (url, _), toolbox(url, "legacy") as box:
        used = await box.use("read_ticket", {"ticket_id": hostile["ticket"]}, "")
    body = parse(used.text)["body"]
    for part in ("\x1b]52;", "\x1b[2J", "[@click=", "\u202e"):
        assert part in body
    assert has_hidden(body)
    assert "\x1b" not in make_safe(body)


def test_a_failing_tool_changes_nothing_but_is_logged(tmp_path: Path) -> None:
    state = ToolState(tmp_path / "p.db", WORKPLACES["payments"])
    before = rows(state, "SELECT * FROM loans")
    for arguments in ({"application_id": "la_none"}, {}):
        with pytest.raises(ToolFailed):
            state.call("record_decision", {**arguments, "decision": "grant", "amount_usd": 1})
    with pytest.raises(ToolFailed, match="no charge"):
        state.call("create_refund", {**REFUND, "charge_id": "ch_none"})
    assert rows(state, "SELECT * FROM loans") == before
    assert [row[0] for row in rows(state, "SELECT said FROM calls")] == [
        "there is no charge 'ch_none'"
    ]


def test_what_a_tool_wrote_before_it_failed_is_undone(tmp_path: Path) -> None:
    def half(connection: sqlite3.Connection, arguments: dict[str, Any]) -> dict[str, Any]:
        connection.execute("INSERT INTO things VALUES (1)")
        raise ToolFailed("half way")

    tables = "CREATE TABLE things (thing INTEGER);"
    workplace = Workplace("w", tables, lambda _: None, (Tool("half", "Fails.", half),))
    state = ToolState(tmp_path / "w.db", workplace)
    with pytest.raises(ToolFailed, match="half way"):
        state.call("half", {})
    assert rows(state, "SELECT * FROM things") == []
    assert rows(state, "SELECT tool, ok, said FROM calls") == [("half", 0, "half way")]


def test_state_outlives_the_server(tmp_path: Path) -> None:
    first = ToolState(tmp_path / "p.db", WORKPLACES["payments"])
    first.call("create_refund", REFUND)
    first.close()
    second = ToolState(tmp_path / "p.db", WORKPLACES["payments"])
    assert second.call("lookup_charge", {"charge_id": "ch_0084"})["refunded_usd"] == 4000


def _stdio(directory: Path, token: str) -> StdioServerParameters:
    return StdioServerParameters(
        command=sys.executable,
        args=["-P", "-m", "watchkeeper.demo", "documents", str(directory)],
        env={"DOCUMENTS_TOKEN": token},
    )


async def test_the_documents_server_speaks_over_standard_input(tmp_path: Path) -> None:
    token = ensure_credential(tmp_path, "documents")
    async with Client(_stdio(tmp_path, token)) as client:
        result = await client.call_tool("read_agreement", {"agreement_id": "agr-40"})
        assert not result.is_error
        assert result.structured_content["vendor"] == "vendor-210"
        assert len(result.structured_content["text"]) > 5000


async def test_the_documents_server_wants_its_credential(tmp_path: Path) -> None:
    ensure_credential(tmp_path, "documents")
    with pytest.raises(Exception):  # noqa: B017, PT011 - the client's wording is its own
        async with Client(_stdio(tmp_path, KEY), read_timeout_seconds=20) as client:
            await client.list_tools()
