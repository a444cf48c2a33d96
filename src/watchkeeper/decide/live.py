"""The facts of a real decision, read in the transaction that decides."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from watchkeeper.approvals import service as approvals
from watchkeeper.approvals.delegations import linked
from watchkeeper.approvals.model import Grant, Standing
from watchkeeper.approvals.standing import service as standing_approvals
from watchkeeper.approvals.standing.model import StandingApproval
from watchkeeper.approvals.standing.voiding import why_void
from watchkeeper.approvals.topping import AskedTopUp, asked_top_up
from watchkeeper.breakers import service as breakers
from watchkeeper.breakers.model import Standing as BreakerStanding
from watchkeeper.budgets import calls
from watchkeeper.budgets import service as budgets
from watchkeeper.budgets.filling import Level, levels_of
from watchkeeper.budgets.model import Cap, Held, Refused
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.facts import NoRoom
from watchkeeper.decide.people.directory import PeopleInForce
from watchkeeper.decide.run_figures import highest_risk, largest_amount, last_model, tool_errors
from watchkeeper.identity import uses
from watchkeeper.identity.details import USED_UP, Used
from watchkeeper.identity.model import RunFacts
from watchkeeper.kill.model import LockInForce
from watchkeeper.kill.service import epoch_and_locks
from watchkeeper.models.statistics import Standing as TargetStanding
from watchkeeper.models.statistics import Statistics
from watchkeeper.store.transaction import Transaction
from watchkeeper.tools.rates import service as rates
from watchkeeper.tools.rates.rules import Limit
from watchkeeper.wire.budgets import Measure
from watchkeeper.wire.decisions import Risk

HOLD_SECONDS = 900
"""How long a reservation may stay unsettled; then all of it counts as used."""


class LiveFacts:
    """The world as the deciding transaction sees it."""

    def __init__(
        self,
        tx: Transaction,
        catalogue: Catalogue,
        run: RunFacts,
        decision: str,
        statistics: Statistics | None = None,
        tripped: Container[str] | None = None,
    ) -> None:
        self.now = tx.now
        self.catalogue = catalogue
        self.run = run
        self.epoch, locks = epoch_and_locks(tx)
        self.locks: Sequence[LockInForce] = locks
        self._tx = tx
        self._decision = decision
        self._statistics = statistics
        self._passed: Sequence[Limit] = ()
        self.held: Held | None = None
        """What was held of budgets, with how full they are then."""
        self._call: str | None = None
        self._tripped = tripped

    def breakers(self) -> Sequence[BreakerStanding]:
        """Return the breakers of the agent that are not closed."""
        agent = self.run.agent
        if self._tripped is not None and agent not in self._tripped:
            return ()
        return breakers.not_closed(self._tx, agent)

    def answered_by(self) -> str | None:
        """Return the model that the run last had an answer from."""
        return last_model(self._tx, self.run.run)

    def tool_errors(self) -> tuple[int, int]:
        """Return how many of the run's newest settled tool calls failed, and of how many."""
        return tool_errors(self._tx, self.run.run)

    def largest_amount(self) -> int:
        """Return the largest amount that the run has asked to move, in micro-dollars."""
        return largest_amount(self._tx, self.run.run)

    def highest_risk(self) -> Risk | None:
        """Return the highest risk of the tools that the run has asked for; None: of none yet."""
        return highest_risk(self._tx, self.run.run)

    def target_standing(self, provider: str, model: str) -> TargetStanding:
        """Return how a provider's model does."""
        if self._statistics is None:
            return TargetStanding()
        return self._statistics.standing(provider, model, self.now)

    def approved(self, digest: str) -> Grant | None:
        """Return the unredeemed, unexpired grant for an action's digest."""
        people = PeopleInForce(self._tx, self.catalogue, self.locks)
        return approvals.find_grant(self._tx, self.run.run, digest, self.now, people)

    def standing(self, digest: str) -> Standing | None:
        """Return where the newest request for an action's digest stands."""
        return approvals.find_standing(self._tx, self.run.run, digest)

    def standing_approvals(self, tool: str) -> Sequence[StandingApproval]:
        """Return what people approved beforehand of the agent's calls of a tool."""
        return standing_approvals.standing_for(self._tx, self.run.agent, tool, self.now)

    def why_void(self, standing: str) -> str | None:
        """Say why who approved something beforehand could not do so now, or return None."""
        return why_void(self._tx, standing, PeopleInForce(self._tx, self.catalogue, self.locks))

    def close_to(self, person: str) -> frozenset[str]:
        """Return the keys of a person, under every name, and of their delegates both ways."""
        people = PeopleInForce(self._tx, self.catalogue, self.locks)
        others = linked(self._tx, [person], people)
        return frozenset(key for name in (person, *others) for key in people.names(name))

    def waiting(self) -> int:
        """Return how many requests of the agent wait for a person."""
        return approvals.count_waiting(self._tx, self.run.agent)

    def used(self, counter: str) -> Used:
        """Return what was used under a counter; one that is not kept any more is used up."""
        return uses.used(self._tx, counter) or USED_UP

    def pass_rates(self, limits: Sequence[Limit]) -> rates.TooSoon | None:
        """Spend one call of every limit, all or nothing; given back where `reserve` refuses."""
        refused = rates.take(self._tx, limits)
        if refused is None:
            self._passed = limits
        return refused

    def repeats(self, call: str) -> bool:
        """Tell whether the run was permitted the same call before, by its digest."""
        self._call = call
        return calls.was_made(self._tx, self.run.run, call)

    def reserve(
        self, caps: Sequence[Cap], amounts: Mapping[Measure, int], touches: str | None = None
    ) -> NoRoom | None:
        """Hold amounts under every cap, all or nothing."""
        answer = budgets.reserve(
            self._tx,
            decision=self._decision,
            agent=self.run.agent,
            run=self.run.run,
            caps=caps,
            amounts=amounts,
            expires_at=self.now + HOLD_SECONDS * MICROSECONDS,
            now=self.now,
            touches=touches,
            final=False,
        )
        if isinstance(answer, Refused):
            return NoRoom(answer.budget_id, answer.sentence, answer.remedy, answer.measure)
        self.held = answer
        if self._call is not None:
            calls.note(self._tx, self.run.run, self._call)
        return None

    def refuse(self, refused: Refused) -> None:
        """Count that a budget refuses the action for good; the rates over it get a call back."""
        budgets.refuse(self._tx, refused, agent=self.run.agent, run=self.run.run)
        rates.put_back(self._tx, self._passed)
        self._passed = ()

    def levels(self, caps: Sequence[Cap]) -> Sequence[Level]:
        """Return how full caps are."""
        return levels_of(self._tx, caps, run=self.run.run, now=self.now)

    def asked_top_up(self, budget: str, period_key: str) -> AskedTopUp | None:
        """Return the newest request to top up a budget in a period."""
        return asked_top_up(self._tx, budget, period_key)
