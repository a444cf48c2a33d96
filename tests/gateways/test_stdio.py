"""Child processes that do not behave: they neither fill the plane's memory nor hold up a call."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import pytest

from tests.rig.deadline import eventually_async
from watchkeeper.tools.secrets.known import KnownValues
from watchkeeper.tools.secrets.references import References
from watchkeeper.tools.upstreams.credentials import Credentials
from watchkeeper.tools.upstreams.model import UpstreamFailure, UpstreamSpec
from watchkeeper.tools.upstreams.stdio import StdioConnection

PINGS = 20_000
RUDE = f"""
import json, sys, time
for line in sys.stdin:
    message = json.loads(line)
    if message["method"] == "initialize":
        said = {{"protocolVersion": "2025-06-18", "capabilities": {{}}, "serverInfo": {{}}}}
    elif message["method"] == "tools/list":
        said = {{"tools": []}}
    else:
        continue
    print(json.dumps({{"jsonrpc": "2.0", "id": message["id"], "result": said}}), flush=True)
    if message["method"] == "tools/list":
        break
for number in range({PINGS}):
    print(json.dumps({{"jsonrpc": "2.0", "id": number, "method": "ping"}}))
print("that was all password=hunter2hunter2", flush=True)
time.sleep(600)
"""


@pytest.fixture
async def rude() -> AsyncIterator[StdioConnection]:
    """A connection to a child that asks without end and reads nothing any more."""
    known = KnownValues()
    spec = UpstreamSpec("rude", "stdio", command=(sys.executable, "-c", RUDE))
    connection = StdioConnection(spec, Credentials(References(known), None, known))
    await connection.connect()
    await connection.list_tools()
    yield connection
    await connection.close()


async def test_questions_that_nobody_reads_answers_to_are_not_answered(
    rude: StdioConnection, caplog: pytest.LogCaptureFixture
) -> None:
    async def all_asked() -> bool:
        return "that was all" in caplog.text

    await eventually_async(all_asked, "the child has asked all it wants")
    assert "hunter2" not in caplog.text
    process = rude._process
    assert process is not None
    assert process.stdin is not None
    assert 0 < process.stdin.transport.get_write_buffer_size() < 70_000


async def test_a_child_that_does_not_read_holds_up_no_call_beyond_its_time(
    rude: StdioConnection,
) -> None:
    async with asyncio.timeout(30):
        with pytest.raises(UpstreamFailure, match=r"did not answer in 0\.2 s"):
            await rude.call(
                "any", {"text": "x" * 1_000_000},
                timeout_seconds=0.2, definition=None, progress=None, context=None,
            )  # fmt: skip
