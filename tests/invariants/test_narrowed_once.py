"""A plane that is killed around a narrowed call: what was approved runs once, nothing else does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from tests.rig.agent import Run
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.upstream import Upstream
from tests.rig.world import POLICY, agent_document, upstream_document, world

SENT = {"charge_id": "ch_1", "amount_usd": 400}
EDITED = {"charge_id": "ch_1", "amount_usd": 40}


def call(run: Run) -> dict[str, Any]:
    """Send the agent's own call once more."""
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "books.create_refund", "arguments": SENT},
    }
    headers = {"authorization": f"Bearer {run.token}", "accept": "application/json"}
    answer = httpx.post(run.mcp_url, json=body, headers=headers, timeout=20, trust_env=False)
    result: dict[str, Any] = answer.json()["result"]
    return result


def test_killed_between_approval_and_run_it_runs_once_as_it_was_narrowed(
    plane: Plane, tmp_path: Path
) -> None:
    books = Upstream(tmp_path / "books").start()
    try:
        documents = world(upstream=upstream_document(url=books.url), agent=agent_document())
        plane.apply(*documents, rules__cedar=POLICY)
        run = plane.enrol("clerk").open_run(on_behalf_of="customer/ada")

        def held() -> str | None:
            said = call(run).get("structuredContent", {})
            return str(said["request"]) if said.get("status") == "pending" else None

        request = eventually(held, "the call is held", tolerate=(KeyError,))
        seen = plane.operator.get(f"/v1/requests/{request}")
        edit = {"digest": seen["digest"], "arguments": EDITED, "reason": "a tenth"}
        stands = plane.operator.post(f"/v1/requests/{request}/edit", edit)
        assert stands["state"] == "approved"
        plane.kill()
        plane.restart()

        def ran() -> dict[str, Any] | None:
            found = call(run)
            return found if not found.get("isError") else None

        first = eventually(ran, "the upstream is there again")
        told = first["content"][0]["text"]
        assert "amount_usd 40, not 400" in told
        assert "a tenth" in told
        plane.kill()
        plane.restart()
        again = call(run)
        assert again["content"] == first["content"]
        assert [one["amount_usd"] for one in books.executions("create_refund")] == [40]
        detail = plane.operator.get(f"/v1/requests/{stands['request']}")
        assert detail["state"] == "succeeded"
        assert len(plane.events(type="grant.redeemed")) == 1
    finally:
        books.stop()
