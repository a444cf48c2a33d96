"""MCP Inspector's command line on the gateway, where it is installed.

It comes from npm and needs Node 20: `npm install -g @modelcontextprotocol/inspector@2.12.0`.
In the modern era it offers the tasks extension and follows a held call as a task.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.gateways.ground import Edge
from tests.rig.upstream import Upstream

INSPECTOR = shutil.which("mcp-inspector")

pytestmark = pytest.mark.skipif(INSPECTOR is None, reason="mcp-inspector is not installed")

ERAS = pytest.mark.parametrize("era", ["legacy", "modern"])


async def inspect(edge: Edge, home: Path, token: str, era: str, *arguments: str) -> dict[str, Any]:
    """Run the Inspector once and return what it printed."""
    assert INSPECTOR is not None
    child = await asyncio.create_subprocess_exec(
        INSPECTOR,
        *("--cli", f"{edge.url}/mcp", "--transport", "http", "--protocol-era", era),
        *("--header", f"Authorization: Bearer {token}", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "HOME": str(home), "MCP_CATALOG_PATH": str(home / "catalog.json")},
    )
    printed, complaint = await child.communicate()
    assert child.returncode == 0, complaint.decode()
    found: dict[str, Any] = json.loads(printed)
    return found


@ERAS
async def test_it_lists_the_tools_of_the_contract(edge: Edge, tmp_path: Path, era: str) -> None:
    listed = await inspect(edge, tmp_path, await edge.open_run(), era, "--method", "tools/list")
    names = {tool["name"] for tool in listed["tools"]}
    assert "books_create_refund" in names
    assert "books_close_account" not in names


@ERAS
async def test_it_gets_what_a_person_approved_meanwhile_once(
    edge: Edge, books: Upstream, tmp_path: Path, era: str
) -> None:
    amount = 555.5 if era == "modern" else 556.5
    call = asyncio.create_task(
        inspect(
            edge,
            tmp_path,
            await edge.open_run(),
            era,
            *("--method", "tools/call", "--tool-name", "books_create_refund"),
            *("--tool-arg", "charge_id=ch_3", "--tool-arg", f"amount_usd={amount}"),
        )
    )
    await edge.vote()
    result = await call
    assert result["isError"] is False
    wanted = {"charge_id": "ch_3", "amount_usd": amount}
    assert books.executions("create_refund").count(wanted) == 1
