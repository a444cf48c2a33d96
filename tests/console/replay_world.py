"""A plane where a run did something, told a model of it, was refused, and is over."""

from __future__ import annotations

import json
from typing import Any

import httpx

from tests.rig.agent import Agent, Run
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.provider import Provider
from tests.rig.world import POLICY, agent_document, world

REFUND = {"charge_id": "ch_1", "amount_usd": 60}
THEN, NOW = "the charge was refunded", "the bank is closed"
STRICTER = POLICY.replace("200000000", "50000000")
"""A policy under which the refund would have been held."""


class ReplayWorld:
    """Has an agent work, and lets tests look at what it did."""

    def __init__(self, plane: Plane, provider: Provider) -> None:
        self.plane, self.provider = plane, provider
        plane.apply(
            *world(agent_document("seller", owner="sales"), provider_url=provider.url),
            policy__cedar=POLICY,
        )
        self.clerk: Agent = plane.enrol("clerk")
        self.run, self.called, self.asked = self._work()

    def _work(self) -> tuple[Run, str, str]:
        run = self.clerk.open_run("refund what was paid twice", on_behalf_of="customer/ada")
        called = run.decide("books.create_refund", REFUND)["decision"]
        run.settle(called, usage={"cost_micros": 500_000})
        asked = self._ask(run)
        run.decide("books.close_account", {"account": "acc_7"})

        def written() -> bool:
            rows = self.plane.operator.get(f"/v1/contents/{asked}")["rows"]
            step = self.plane.operator.get(f"/v1/runs/{run.id}/steps/{asked}")
            return len(rows) == 2 and step["outcome"] == "succeeded"

        eventually(written, "what was said")
        run.close()
        return run, called, asked

    def _ask(self, run: Run) -> str:
        """Tell a model what a tool answered; return the decision."""
        function = {"name": "books_create_refund", "arguments": json.dumps(REFUND)}
        messages: list[dict[str, Any]] = [
            {"role": "user", "content": "refund it"},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "call_1", "type": "function", "function": function}]},
            {"role": "tool", "tool_call_id": "call_1", "content": THEN},
        ]  # fmt: skip
        answer = httpx.post(
            f"{run.model_base_url}/chat/completions",
            json={"model": "small-fast", "messages": messages},
            headers={"authorization": f"Bearer {run.token}"},
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        return str(answer.headers["x-watchkeeper-decision"])

    def fork(self) -> str:
        """Fork the run where it called the tool; return the replay."""
        body = {"at": self.called, "result": NOW, "live_model": True, "reason": "what if"}
        found = self.plane.operator.post(f"/v1/runs/{self.run.id}/forks", body)
        assert found["answered"], found
        return str(found["run"])
