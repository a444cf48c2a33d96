"""A plane that is killed while a call runs: nobody knows how it ended, and it is not run again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

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


def approve(plane: Plane) -> None:
    """Let the owner approve what waits, as soon as something does."""

    def found() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = plane.operator.get("/v1/requests", state="pending")["rows"]
        return rows

    (row,) = eventually(found, "a pending request")
    detail = plane.operator.get(f"/v1/requests/{row['request']}")
    vote = {"verdict": "approve", "digest": detail["digest"], "reason": "seen"}
    plane.operator.post(f"/v1/requests/{row['request']}/votes", vote)


def ask_task(run: Run, method: str, named: str, **params: Any) -> dict[str, Any]:
    """Send a request as a client that follows tasks; return its result."""
    offered: dict[str, Any] = {"extensions": {"io.modelcontextprotocol/tasks": {}}}
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": offered,
    }
    headers = {
        "authorization": f"Bearer {run.token}",
        "accept": "application/json",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": method,
        "mcp-name": named,
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
    answer = httpx.post(run.mcp_url, json=body, headers=headers, timeout=20, trust_env=False)
    result: dict[str, Any] = answer.json()["result"]
    return result


def test_a_task_outlives_a_kill_and_runs_once(plane: Plane, tmp_path: Path) -> None:
    books = Upstream(tmp_path / "books").start()
    try:
        plane.apply(*world(upstream=upstream_document(url=books.url)), rules__cedar=POLICY)
        run = plane.enrol("clerk").open_run(on_behalf_of="customer/ada")
        arguments = {"charge_id": "ch_2", "amount_usd": 260}
        tool = "books.create_refund"
        task = ask_task(run, "tools/call", tool, name=tool, arguments=arguments)["taskId"]
        plane.kill()
        plane.restart()
        assert ask_task(run, "tasks/get", task, taskId=task)["status"] == "working"
        approve(plane)
        plane.kill()
        plane.restart()

        def completed() -> dict[str, Any] | None:
            found = ask_task(run, "tasks/get", task, taskId=task)
            return found if found["status"] == "completed" else None

        done = eventually(completed, "the task has run")
        assert done["result"]["isError"] is False
        assert books.executions("create_refund") == [arguments]
        plane.kill()
        plane.restart()
        again = ask_task(run, "tasks/get", task, taskId=task)
        assert again["result"] == done["result"]
        assert books.executions("create_refund") == [arguments]
    finally:
        books.stop()


def test_who_hangs_up_on_the_decide_api_finds_the_approval_unused(plane: Plane) -> None:
    plane.apply(*world(), rules__cedar=POLICY)
    run = plane.enrol("clerk").open_run(on_behalf_of="customer/ada")
    arguments = {"charge_id": "ch_2", "amount_usd": 260}
    body = {"name": "books.create_refund", "arguments": arguments}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{plane.url}/v1/decide?wait_seconds=60",
            json=body,
            headers={"authorization": f"Bearer {run.token}"},
            timeout=httpx.Timeout(20, read=PATIENCE_SECONDS),
            trust_env=False,
        )
    approve(plane)
    assert plane.events(type="grant.redeemed") == []
    permit = run.decide("books.create_refund", arguments)
    assert (permit["verdict"], permit["replay"]) == ("permit", None)
    again = run.decide("books.create_refund", arguments)
    assert again["decision"] == permit["decision"]
    assert again["replay"]["status"] == "running"
    run.settle(permit["decision"])
    assert run.decide("books.create_refund", arguments)["replay"]["status"] == "succeeded"
    assert len(plane.events(type="grant.redeemed")) == 1
