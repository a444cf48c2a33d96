"""A world that stands still: facts for putting actions through the gates without a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from watchkeeper.approvals.model import Grant, Standing
from watchkeeper.approvals.standing.model import StandingApproval
from watchkeeper.approvals.topping import AskedTopUp
from watchkeeper.breakers.model import Standing as BreakerStanding
from watchkeeper.budgets.filling import Level, levels_of
from watchkeeper.budgets.model import Cap, Refused
from watchkeeper.decide.catalogue import Catalogue, build_catalogue
from watchkeeper.decide.facts import NoRoom
from watchkeeper.decide.model import Action
from watchkeeper.identity.details import Used
from watchkeeper.identity.model import RunFacts
from watchkeeper.kill.model import LockInForce
from watchkeeper.models.statistics import Standing as TargetStanding
from watchkeeper.registry.rules import InForce, document_digest
from watchkeeper.registry.source import read_file
from watchkeeper.tools.rates.rules import Limit
from watchkeeper.tools.rates.service import TooSoon
from watchkeeper.wire.budgets import Measure
from watchkeeper.wire.decisions import Risk

WORLD = """
agent:
  name: refund-assistant
  owner: finance-ops
  model_routing: {default: small-fast}
  budgets: {max_steps: 12, max_cost_usd_per_run: 0.75}
  tools:
    allowlist:
      - name: stripe.lookup_charge
      - name: stripe.create_refund
      - name: cloud.delete
      - name: ghost.tool
  approvals: {escalation: finance}
---
tool:
  name: stripe.lookup_charge
  does: Reads a charge
  access: read
  risk: low
---
tool:
  name: stripe.create_refund
  does: Refunds a charge
  risk: medium
  amount_usd: amount_usd
  business_object: {kind: charge, id: charge_id}
  input_schema:
    type: object
    required: [charge_id, amount_usd]
    additionalProperties: false
    properties:
      charge_id: {type: string}
      amount_usd: {type: number, exclusiveMinimum: 0}
      note: {type: string}
  never:
    - {argument: note, pattern: "(?i)gift card", why: refunds never go to gift cards}
---
tool: {name: cloud.delete, does: Deletes a cluster, risk: critical}
---
provider:
  name: local
  base_url: http://127.0.0.1:1/v1
  models: [{name: small-1, input_usd_per_million: 1, output_usd_per_million: 2}]
---
model: {name: small-fast, provider: local, provider_model: small-1}
---
role: {name: finance-ops, members: [owner]}
---
role: {name: finance-lead, members: [owner]}
---
escalation:
  name: finance
  levels: [{role: finance-ops}, {role: finance-lead, after_seconds: 60}]
"""

POLICY = """
@id("refund-over-200") @message("refunds over $200 need finance-ops")
@obligation("require_approval") @approver_role("finance-ops") @escalation("finance")
@sla("15m") @risk("high")
forbid(principal, action == Action::"use_tool", resource == Tool::"stripe.create_refund")
  when { context.amount_micros > 200000000 }
  unless { context.approvals.contains("finance-ops") };
@id("no-long-calls")
forbid(principal, action == Action::"call_model", resource) when { context.est_tokens > 10000 };
"""


def catalogue(world: str = WORLD, policy: str = POLICY) -> Catalogue:
    """Compile a world from its YAML and its policy."""
    sources = [*read_file("world.yaml", world), *read_file("rules.cedar", policy)]
    return build_catalogue(
        {
            (s.kind, s.name): InForce(
                s.kind, s.name, 1, document_digest(s.kind, s.document), s.path, s.text, s.document
            )
            for s in sources
        }
    )


def a_run(**changes: object) -> RunFacts:
    """An open run of the refund assistant."""
    values: dict[str, object] = {
        "run": "run_1",
        "agent": "refund-assistant",
        "version": 1,
        "state": "open",
        "on_behalf_of": None,
        "environment": "production",
        "goal": "refund",
        "object_kind": None,
        "object_id": None,
        "token_expires_at": 10**16,
        "token_revoked_at": None,
    }
    return RunFacts(**(values | changes))  # type: ignore[arg-type]


@dataclass
class StillFacts:
    """Facts that are given, not read."""

    catalogue: Catalogue
    run: RunFacts = field(default_factory=a_run)
    locks: Sequence[LockInForce] = ()
    now: int = 1
    granted: frozenset[str] = frozenset()
    """Digests with a live grant."""
    full: str | None = None
    """A budget id that has no room."""
    stands: Mapping[str, Standing] = field(default_factory=dict)
    grant: Grant | None = None
    """The approval there is, where a test says more of it."""
    beforehand: Sequence[StandingApproval] = ()
    pending: int = 0
    model: str | None = None
    spent: Mapping[str, Used] = field(default_factory=dict)
    """What was used of authorization details, by counter."""
    asked: list[Mapping[Measure, int]] = field(default_factory=list)
    too_soon: str | None = None
    """A rate limit that has no call left."""
    passed: list[str] = field(default_factory=list)
    tripped: Sequence[BreakerStanding] = ()
    """The breakers that are not closed."""
    errors: tuple[int, int] = (0, 0)
    """Failed and settled tool calls of the run."""
    amount: int = 0
    risk: Risk | None = None
    stand: Mapping[str, TargetStanding] = field(default_factory=dict)
    """How targets do, by `provider/model`."""
    filled: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """How full budgets are, by id: `posted`, `held`, `topped`, `per_hour`."""
    topping: Mapping[str, AskedTopUp] = field(default_factory=dict)
    looked_up: list[str] = field(default_factory=list)
    """Figures of the run that were asked for."""

    def breakers(self) -> Sequence[BreakerStanding]:
        """Return the breakers that are not closed."""
        return self.tripped

    def answered_by(self) -> str | None:
        """Return the model that answered last."""
        return self.model

    def tool_errors(self) -> tuple[int, int]:
        """Return failed and settled tool calls."""
        self.looked_up.append("tool_errors")
        return self.errors

    def largest_amount(self) -> int:
        """Return the largest amount that was asked for."""
        self.looked_up.append("largest_amount")
        return self.amount

    def highest_risk(self) -> Risk | None:
        """Return the highest risk that was asked for."""
        self.looked_up.append("highest_risk")
        return self.risk

    def target_standing(self, provider: str, model: str) -> TargetStanding:
        """Return how a target does."""
        return self.stand.get(f"{provider}/{model}", TargetStanding())

    def approved(self, digest: str) -> Grant | None:
        """Return a grant for the digests that are granted."""
        if digest not in self.granted:
            return None
        found = Grant("req_1", digest, 10**16, ("finance-ops",), ("person/ada",))
        return self.grant or found

    def standing(self, digest: str) -> Standing | None:
        """Return where the request of a digest stands."""
        return self.stands.get(digest)

    def standing_approvals(self, tool: str) -> Sequence[StandingApproval]:
        """Return what was approved beforehand."""
        return self.beforehand

    def why_void(self, standing: str) -> str | None:
        """Every approval is good still."""
        return None

    def close_to(self, person: str) -> frozenset[str]:
        """Return the keys of a person; nobody delegates anything."""
        return self.catalogue.names.names(person)

    def waiting(self) -> int:
        """Return how many requests wait."""
        return self.pending

    def used(self, counter: str) -> Used:
        """Return what was used under a counter."""
        return self.spent.get(counter, Used())

    def pass_rates(self, limits: Sequence[Limit]) -> TooSoon | None:
        """Refuse where the spent limit is among them."""
        for limit in limits:
            if limit.rule == self.too_soon:
                return TooSoon(limit, 7)
        self.passed += [limit.rule for limit in limits]
        return None

    def repeats(self, call: str) -> bool:
        """Nothing was called before."""
        return False

    def reserve(
        self, caps: Sequence[Cap], amounts: Mapping[Measure, int], touches: str | None = None
    ) -> NoRoom | None:
        """Refuse where the full budget is among the caps."""
        self.asked.append(amounts)
        if self.full in {cap.budget_id.replace("*", self.run.run) for cap in caps}:
            return NoRoom(str(self.full), f"{self.full} is spent", "top up")
        return None

    def refuse(self, refused: Refused) -> None:
        """Nothing is counted."""

    def levels(self, caps: Sequence[Cap]) -> Sequence[Level]:
        """Return how full caps are: as said, or empty."""
        found = levels_of(None, caps, run=self.run.run, now=self.now)
        return tuple(self._as_said(one) for one in found)

    def _as_said(self, level: Level) -> Level:
        said = self.filled.get(level.budget, {})
        return replace(
            level,
            posted=said.get("posted", 0),
            held=said.get("held", 0),
            topped=said.get("topped", 0),
            per_hour=said.get("per_hour", 0),
        )

    def asked_top_up(self, budget: str, period_key: str) -> AskedTopUp | None:
        """Return what was asked of a budget before."""
        return self.topping.get(budget)


def refund(amount: object = 20, **more: object) -> Action:
    """A refund of so many dollars."""
    arguments = {"charge_id": "ch_81", "amount_usd": amount} | more
    return Action("tool", "stripe.create_refund", arguments)
