"""A plane that is killed while a call runs: nobody knows how it ended, and it is not run again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from tests.rig.agent import Run
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.upstream import Upstream
from tests.rig.world import POLICY, agent_document, upstream_document, world

SLOW = """
tool:
  name: books.slow
  upstream: books
  upstream_tool: wait_until_told
  does: Does something that takes long.
  access: write
  risk: low
  rate_limit: {calls: 2, per: day}
"""
PATIENCE_SECONDS = 0.5


def call(run: Run, label: str, *, patience: float = 20) -> dict[str, Any] | None:
    """Call the slow tool; None when the client gave up."""
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "books.slow", "arguments": {"label": label}},
    }
    headers = {"authorization": f"Bearer {run.token}", "accept": "application/json"}
    try:
        answer = httpx.post(
            run.mcp_url, json=body, headers=headers, timeout=patience, trust_env=False
        )
    except httpx.TimeoutException:
        return None
    result: dict[str, Any] = answer.json()["result"]
    return result


def test_after_a_kill_the_retry_is_told_that_nobody_knows(plane: Plane, tmp_path: Path) -> None:
    books = Upstream(tmp_path / "books").start()
    try:
        documents = world(
            SLOW, upstream=upstream_document(url=books.url), agent=agent_document(tools=["slow"])
        )
        plane.apply(*documents, rules__cedar=POLICY)
        run = plane.enrol("clerk").open_run(on_behalf_of="customer/ada")

        def runs() -> bool:
            return call(run, "a", patience=PATIENCE_SECONDS) is None and len(books.executions()) > 0

        eventually(runs, "the upstream runs it", tolerate=(KeyError,))
        plane.kill()
        books.tell("a", "done")
        plane.restart()
        for _ in range(2):
            again = call(run, "a")
            assert again is not None
            assert again["isError"] is True
            assert again["structuredContent"]["status"] == "unknown"
            assert "check before" in again["content"][0]["text"]
        assert books.executions() == [{"label": "a"}]
        (outcome,) = plane.events(type="outcome.recorded")
        assert outcome["body"]["status"] == "unknown"

        # what it spent of its rate limit was not forgotten either: one call is left of two
        books.tell("b", "done")
        second = call(run, "b")
        third = call(run, "c")
        assert second is not None
        assert second["content"][0]["text"] == "done"
        assert third is not None
        assert third["structuredContent"]["rule"] == "rate/tool/books.slow"
        assert third["structuredContent"]["retry_after_seconds"] > 40_000
        assert third["structuredContent"]["retryable"] is True
        assert len(books.executions()) == 2
    finally:
        books.stop()
