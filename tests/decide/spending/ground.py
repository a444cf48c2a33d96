"""A store with two teams' agents at work, for what is told of their spending."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.rig.world import POLICY, agent_document, budget_document, world
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.decide.catalogue import CatalogueView, build_catalogue
from watchkeeper.decide.policies.applying import Applying
from watchkeeper.decide.runs.envelope import Envelopes
from watchkeeper.decide.service import Decider
from watchkeeper.identity.enrolment import enrol, redeem_enrolment
from watchkeeper.identity.model import NewRun, ReplayOf
from watchkeeper.store.store import Store
from watchkeeper.wire.decisions import Ask, Outcome, OutcomeStatus, Usage

TEAMS = {"clerk": "finance-ops", "reader": "research"}
PROJECTS = {"clerk": "refunds"}
ALL_DAY = "all/day/spend"


@dataclass
class Ground:
    """A decider over a store of its own, with a run of each agent."""

    store: Store
    clock: RehearsalClock
    decider: Decider
    runs: dict[str, tuple[str, str]] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)

    async def begin(
        self, agent: str, person: str | None = None, replay: ReplayOf | None = None
    ) -> tuple[str, str]:
        """Open another run of an agent, which `act` then works in."""
        new = NewRun("work", person, replay=replay)
        _, issued = await Envelopes(self.decider).open(self.secrets[agent], new)
        self.runs[agent] = (issued.run, issued.token)
        return self.runs[agent]

    async def end(self, agent: str) -> None:
        """Close an agent's run."""
        run, token = self.runs[agent]
        await Envelopes(self.decider).close(token, run, "succeeded", None)

    async def ask(self, agent: str, kind: str = "model", name: str = "", **more: Any) -> str:
        """Have one action permitted; return the decision."""
        name = name or ("small-fast" if kind == "model" else "books.echo")
        ask = Ask(kind=kind, name=name, **more)
        answer = await self.decider.decide(self.runs[agent][1], ask)
        assert answer.verdict == "permit", answer
        return answer.decision

    async def act(
        self, agent: str, cost: int, status: OutcomeStatus = "succeeded", **more: Any
    ) -> str:
        """Have one action permitted and settled at a cost; return the decision."""
        usage = Usage(cost_micros=cost, input_tokens=more.pop("tokens", 0))
        more.setdefault("estimate", Usage(cost_micros=max(1, cost)))
        said = {
            name: more.pop(name) for name in ("provider", "provider_model", "model") if name in more
        }
        decision = await self.ask(agent, **more)
        await self.decider.settle(decision, Outcome(status=status, usage=usage, **said))
        return decision


async def open_ground(url: str) -> Ground:
    """Put two agents of two teams in force under a budget of everything, and open their runs."""
    clock = RehearsalClock(frozen=True, start=1_795_000_000_000_000)
    store = await Store.open(url, clock)
    view = CatalogueView(build_catalogue({}))
    documents = world(
        agent_document("reader", owner="research"),
        budget_document("everything", "all", spend_usd=100_000, tool_calls=10_000),
    )
    documents[0] = documents[0].replace(
        "owner: finance-ops", f"owner: finance-ops\n  project: {PROJECTS['clerk']}"
    )
    files = [(f"{n}.yaml", text) for n, text in enumerate(documents)]
    await Applying(store, view).apply([*files, ("p.cedar", POLICY)], prune=False, actor="person/a")
    ground = Ground(store, clock, Decider(store, view))
    for agent in TEAMS:
        ground.secrets[agent] = await _enrolled(store, agent)
        await ground.begin(agent)
    return ground


async def _enrolled(store: Store, agent: str) -> str:
    secret = await store.write(lambda tx: enrol(tx, agent, ttl_seconds=60, actor="person/a"))
    redeemed = await store.write(lambda tx: redeem_enrolment(tx, secret.secret))
    return redeemed.secret
