"""What the gates may look at: the state of the world at one time.

The path never touches storage itself. Deciding for real, a dry run and a replay differ only
in the facts they are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from watchkeeper.approvals.model import Grant, Standing
from watchkeeper.approvals.standing.model import StandingApproval
from watchkeeper.approvals.topping import AskedTopUp
from watchkeeper.breakers.model import Standing as BreakerStanding
from watchkeeper.budgets.filling import Level
from watchkeeper.budgets.model import Cap, Refused
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.identity.details import Used
from watchkeeper.identity.model import RunFacts
from watchkeeper.kill.model import LockInForce
from watchkeeper.models.statistics import Standing as TargetStanding
from watchkeeper.tools.rates.rules import Limit
from watchkeeper.tools.rates.service import TooSoon
from watchkeeper.wire.budgets import Measure
from watchkeeper.wire.decisions import Risk


@dataclass(frozen=True, slots=True)
class NoRoom:
    """A budget without room for an action."""

    budget: str
    sentence: str
    remedy: str
    measure: Measure | None = None


class Facts(Protocol):
    """The world as the gates see it."""

    now: int
    catalogue: Catalogue
    run: RunFacts
    locks: Sequence[LockInForce]

    def breakers(self) -> Sequence[BreakerStanding]:
        """Return the breakers of the agent that are not closed."""
        ...

    def answered_by(self) -> str | None:
        """Return the model that the run last had an answer from."""
        ...

    def tool_errors(self) -> tuple[int, int]:
        """Return how many of the run's newest settled tool calls failed, and of how many."""
        ...

    def largest_amount(self) -> int:
        """Return the largest amount that the run has asked to move, in micro-dollars."""
        ...

    def highest_risk(self) -> Risk | None:
        """Return the highest risk of the tools that the run has asked for; None: of none yet."""
        ...

    def target_standing(self, provider: str, model: str) -> TargetStanding:
        """Return how a provider's model does."""
        ...

    def approved(self, digest: str) -> Grant | None:
        """Return the unredeemed, unexpired grant for an action's digest."""
        ...

    def standing(self, digest: str) -> Standing | None:
        """Return where the newest request for an action's digest stands."""
        ...

    def standing_approvals(self, tool: str) -> Sequence[StandingApproval]:
        """Return what people approved beforehand of the agent's calls of a tool."""
        ...

    def why_void(self, standing: str) -> str | None:
        """Say why who approved something beforehand could not do so now, or return None."""
        ...

    def close_to(self, person: str) -> frozenset[str]:
        """Return the keys of a person, under every name, and of their delegates both ways."""
        ...

    def waiting(self) -> int:
        """Return how many requests of the agent wait for a person."""
        ...

    def used(self, counter: str) -> Used:
        """Return what was used under a counter of the token's authorization details."""
        ...

    def pass_rates(self, limits: Sequence[Limit]) -> TooSoon | None:
        """Spend one call of every limit, all or nothing; given back where `reserve` refuses."""
        ...

    def repeats(self, call: str) -> bool:
        """Tell whether the run was permitted the same call before, by its digest."""
        ...

    def reserve(
        self, caps: Sequence[Cap], amounts: Mapping[Measure, int], touches: str | None = None
    ) -> NoRoom | None:
        """Hold amounts under every cap, all or nothing.

        `touches` is the business object that an amount of `objects` is about. Nothing is held or
        recorded where it finds no room: something else may be tried, or it is refused for good.
        """
        ...

    def refuse(self, refused: Refused) -> None:
        """Count that a budget refuses the action for good."""
        ...

    def levels(self, caps: Sequence[Cap]) -> Sequence[Level]:
        """Return how full caps are."""
        ...

    def asked_top_up(self, budget: str, period_key: str) -> AskedTopUp | None:
        """Return the newest request to top up a budget in a period."""
        ...
