"""A plane with something in every pane: requests of each risk, a spent budget, two agents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.rig.agent import Run
from tests.rig.plane import Plane
from tests.rig.world import AMPLE, POLICY, agent_document, budget_document, world

TELLER = """
agent:
  name: teller
  owner: finance-ops
  mission: Keep accounts in order.
  model_routing: {default: small-fast}
  budgets: %s
  tools:
    allowlist:
      - {name: books.lookup_charge}
      - {name: books.note, requires_approval: true}
      - {name: books.move, requires_approval: true}
      - {name: books.close_account, requires_approval: true}
  approvals: {role: finance-ops, escalation: finance, sla_seconds: 900, hold_seconds: 0,
    max_pending: %d}
  identity: {mode: own, token_ttl_seconds: 900}
"""

TOOLS = """
tool:
  name: books.note
  upstream: books
  upstream_tool: echo
  does: Puts a note on an account.
  access: write
  risk: low
  business_object: {kind: account, id: account}
  blast_radius: One account's notes.
  rollback: Delete the note.
---
tool:
  name: books.move
  upstream: books
  upstream_tool: echo
  does: Moves an account to another desk.
  access: write
  risk: medium
  business_object: {kind: account, id: account}
  blast_radius: One account.
  rollback: Move it back.
---
tool:
  name: books.close_account
  upstream: books
  upstream_tool: echo
  does: Closes the account.
  access: write
  risk: critical
  business_object: {kind: account, id: account}
  blast_radius: One customer loses their account.
  rollback: None; a new account must be opened.
"""


class DeskWorld:
    """Fills a plane, and lets its agents ask."""

    def __init__(self, plane: Plane, *, max_pending: int = 50) -> None:
        self.plane = plane
        documents = [
            document
            for document in world(agent=agent_document("clerk"))
            if "books.lookup_charge\n" not in document
        ]
        tools = [d for d in world() if "books.lookup_charge\n" in d]
        kept = [d.partition("---\ntool:\n  name: books.close_account")[0] for d in tools]
        plane.apply(
            *documents,
            *kept,
            TOOLS,
            TELLER % (json.dumps(AMPLE), max_pending),
            agent_document("buyer", owner="purchasing", budgets={**AMPLE, "max_steps": 3}),
            budget_document("finance-day", "team/finance-ops", tool_calls=200, spend_usd=5),
            policies__cedar=POLICY,
        )
        self.clerk = plane.enrol("clerk")
        self.teller = plane.enrol("teller")
        self.buyer = plane.enrol("buyer")
        self._runs: dict[str, Run] = {}

    def run(self, agent: str) -> Run:
        """The open run of an agent."""
        if agent not in self._runs:
            owner = {"clerk": self.clerk, "teller": self.teller, "buyer": self.buyer}[agent]
            goal = f"work through the {agent}'s items"
            self._runs[agent] = owner.open_run(goal, on_behalf_of="person/dora")
        return self._runs[agent]

    def ask(self, agent: str, tool: str, **arguments: Any) -> dict[str, Any]:
        """Let an agent ask for one action."""
        explanation = arguments.pop("explanation", None)
        return self.run(agent).decide(f"books.{tool}", arguments, explanation=explanation)

    def hold(self, agent: str, tool: str, **arguments: Any) -> str:
        """Let an agent ask for what needs a person; return the request."""
        answer = self.ask(agent, tool, **arguments)
        assert answer["verdict"] == "hold", answer
        return str(answer["request"])

    def state(self, request: str) -> str:
        """The state of a request, by the plane."""
        return str(self.plane.operator.get(f"/v1/requests/{request}")["state"])

    def vote(self, request: str, verdict: str, reason: str) -> None:
        """Decide a request behind the console's back."""
        digest = self.plane.operator.get(f"/v1/requests/{request}")["digest"]
        body = {"verdict": verdict, "digest": digest, "reason": reason}
        self.plane.operator.post(f"/v1/requests/{request}/votes", body)

    def forget_run(self, agent: str) -> None:
        """Have the agent open another run next."""
        self._runs.pop(agent, None)

    def fill(self) -> list[str]:
        """Let every agent do something; return the requests, by risk from low to critical."""
        for number in range(3):
            self.ask("clerk", "lookup_charge", charge_id=f"ch_{number}")
        for _ in range(5):
            self.ask("buyer", "echo", text="again")
        return [
            self.hold("teller", "note", account="acc_7", text="called twice"),
            self.hold("teller", "move", account="acc_7", desk="south"),
            self.hold(
                "clerk",
                "create_refund",
                charge_id="ch_81",
                amount_usd=250,
                explanation="\x1b[2J\x1b]0;approved\x07The customer waited.\n✓ approved by ada",
            ),
            self.hold("teller", "close_account", account="acc_9"),
        ]


@contextmanager
def filled_desk(directory: Path) -> Iterator[DeskWorld]:
    """A plane of its own with something in every pane."""
    plane = Plane(directory).start()
    try:
        desk = DeskWorld(plane)
        desk.fill()
        yield desk
    finally:
        plane.close()
