"""Deciding without a world: no locks, empty budgets, nobody asked before.

The path is the real one; only the facts are at rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from watchkeeper.approvals.model import Grant, Standing
from watchkeeper.approvals.standing.model import StandingApproval
from watchkeeper.approvals.topping import AskedTopUp
from watchkeeper.breakers.model import Standing as BreakerStanding
from watchkeeper.budgets.filling import Level, levels_of
from watchkeeper.budgets.model import Cap, Refused
from watchkeeper.budgets.room import find_room
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.facts import NoRoom
from watchkeeper.decide.model import Action, Progress, Requirement, Ruling
from watchkeeper.decide.path import decide
from watchkeeper.identity.details import Used
from watchkeeper.identity.model import RunFacts
from watchkeeper.identity.recorded import FOREVER
from watchkeeper.kill.model import LockInForce
from watchkeeper.models.statistics import Standing as TargetStanding
from watchkeeper.tools.rates.rules import Limit
from watchkeeper.tools.rates.service import TooSoon
from watchkeeper.wire.budgets import Measure
from watchkeeper.wire.decisions import Risk

REHEARSED = "rehearsal"
"""Stands for the run, the request and the approver of a rehearsal."""


@dataclass(slots=True)
class RehearsalFacts:
    """A world at rest."""

    now: int
    catalogue: Catalogue
    run: RunFacts
    locks: Sequence[LockInForce] = ()
    granted: frozenset[str] = field(default=frozenset())
    """Digests of actions that a person has approved."""
    model: str | None = None
    """The model that the run last had an answer from."""

    def breakers(self) -> Sequence[BreakerStanding]:
        """Every breaker is closed."""
        return ()

    def answered_by(self) -> str | None:
        """Return the model that is said to have answered."""
        return self.model

    def tool_errors(self) -> tuple[int, int]:
        """No tool was called before."""
        return 0, 0

    def largest_amount(self) -> int:
        """Nothing was moved before."""
        return 0

    def highest_risk(self) -> Risk | None:
        """No tool was called before."""
        return None

    def target_standing(self, provider: str, model: str) -> TargetStanding:
        """Nothing was measured."""
        return TargetStanding()

    def approved(self, digest: str) -> Grant | None:
        """Return a grant for an action that is approved."""
        if digest not in self.granted:
            return None
        return Grant(REHEARSED, digest, FOREVER, (), (REHEARSED,))

    def standing(self, digest: str) -> Standing | None:
        """Nothing was asked before."""
        return None

    def standing_approvals(self, tool: str) -> Sequence[StandingApproval]:
        """Nothing was approved beforehand."""
        return ()

    def why_void(self, standing: str) -> str | None:
        """Nothing was approved that could be void."""
        return None

    def close_to(self, person: str) -> frozenset[str]:
        """Return the keys of a person; nobody delegates anything."""
        return self.catalogue.names.names(person)

    def waiting(self) -> int:
        """No request waits."""
        return 0

    def used(self, counter: str) -> Used:
        """Nothing was used before."""
        return Used()

    def pass_rates(self, limits: Sequence[Limit]) -> TooSoon | None:
        """Nothing was called before."""
        return None

    def repeats(self, call: str) -> bool:
        """Nothing was called before."""
        return False

    def reserve(
        self, caps: Sequence[Cap], amounts: Mapping[Measure, int], touches: str | None = None
    ) -> NoRoom | None:
        """Every budget is empty; what is more than its cap finds no room all the same."""
        refused = find_room(None, run=self.run.run, caps=caps, amounts=amounts, now=self.now)
        if refused is None:
            return None
        return NoRoom(refused.budget_id, refused.sentence, refused.remedy, refused.measure)

    def refuse(self, refused: Refused) -> None:
        """Nothing is counted."""

    def levels(self, caps: Sequence[Cap]) -> Sequence[Level]:
        """Every budget is empty."""
        return levels_of(None, caps, run=self.run.run, now=self.now)

    def asked_top_up(self, budget: str, period_key: str) -> AskedTopUp | None:
        """Nobody was asked before."""
        return None


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What was decided in a rehearsal."""

    ruling: Ruling
    progress: Progress
    asked: Requirement | None
    """The approval that the action needed, given or not."""

    @property
    def rule(self) -> str:
        """The rule that decided; of an approved action, the rule that asked."""
        if self.ruling.verdict == "permit" and self.asked is not None:
            return self.asked.rule
        return self.ruling.rule


def rehearse(action: Action, facts: RehearsalFacts, approvals: frozenset[str]) -> Rehearsed:
    """Decide an action that people of some roles have approved.

    It is approved where enough people of these roles, at any level, would be a quorum.
    """
    ruling, progress = decide(action, facts)
    asked = ruling.requirement
    if asked is None or not asked.met_by(approvals):
        return Rehearsed(ruling, progress, asked)
    facts.granted = frozenset({progress.digest})
    ruling, progress = decide(action, facts)
    return Rehearsed(ruling, progress, asked)


def run_at_rest(
    catalogue: Catalogue,
    agent: str,
    environment: str | None = None,
    on_behalf_of: str | None = None,
) -> RunFacts:
    """Return a run of an agent that has just begun, in its contract's first environment."""
    governed = catalogue.agents.get(agent)
    environments = governed.contract.environments if governed else ()
    return RunFacts(
        run=REHEARSED,
        agent=agent,
        version=governed.version if governed else 0,
        state="open",
        on_behalf_of=on_behalf_of,
        environment=environment or next(iter(environments), "production"),
        goal="",
        object_kind=None,
        object_id=None,
        token_expires_at=FOREVER,
        token_revoked_at=None,
    )
