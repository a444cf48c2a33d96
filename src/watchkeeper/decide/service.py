"""Deciding for real: one transaction reads the facts, rules, and keeps state and event."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

from watchkeeper.approvals import service as approvals
from watchkeeper.approvals.attendance import caller_came, caller_left
from watchkeeper.approvals.callback import call_back
from watchkeeper.approvals.rows import decide_by_of
from watchkeeper.approvals.superseding import link_new
from watchkeeper.approvals.voiding import void
from watchkeeper.budgets import service as budgets
from watchkeeper.core.errors import Conflict, Forbidden
from watchkeeper.decide.answers import as_answer
from watchkeeper.decide.bounds import in_time, too_slow
from watchkeeper.decide.budgets.amounts import amounts_of, with_some_use
from watchkeeper.decide.budgets.breakers import Open, take_part
from watchkeeper.decide.budgets.noting import Noting
from watchkeeper.decide.budgets.topping import open_top_up
from watchkeeper.decide.catalogue import CatalogueView
from watchkeeper.decide.contents import check_names, examine_aside, kept_words, without_secrets
from watchkeeper.decide.costing import draw_on_used
from watchkeeper.decide.gates.approval import check_critical
from watchkeeper.decide.gates.breaker import breaker_gate
from watchkeeper.decide.gates.identity import use_of
from watchkeeper.decide.gates.kill import covered_by, covered_there
from watchkeeper.decide.gates.requirement import risk_of
from watchkeeper.decide.held.extending import hold_more
from watchkeeper.decide.held.narrowing import follow_narrowed
from watchkeeper.decide.held.opening import open_request
from watchkeeper.decide.held.standing import end_outdated, use_standing
from watchkeeper.decide.held.waiting import Waiting
from watchkeeper.decide.kill.flight import Flights, InFlight
from watchkeeper.decide.kill.poisoning import find_poisoned, poison_if_cut
from watchkeeper.decide.live import LiveFacts
from watchkeeper.decide.model import Action, Progress, Ruling
from watchkeeper.decide.notices.callbacks import check_callback
from watchkeeper.decide.path import decide as decide_by_gates
from watchkeeper.decide.people.coverage import RolesInForce
from watchkeeper.decide.records import (
    NOBODY_REPORTED,
    find_decision,
    find_to_settle,
    record_decision,
    record_outcome,
)
from watchkeeper.decide.repeats import (
    Taken,
    is_remembered,
    keep_result,
    name_call,
    recall,
    release,
    remember,
)
from watchkeeper.decide.retention import keeps_nothing, recordable, without_agents_words
from watchkeeper.decide.runs.reconciling import tell_reconciled
from watchkeeper.decide.runs.reporting import by_agents_word, check_reporter
from watchkeeper.decide.same import find_replay
from watchkeeper.identity import uses
from watchkeeper.identity.model import Caller
from watchkeeper.identity.rules import check_token
from watchkeeper.identity.runs import facts_of
from watchkeeper.identity.scope import read_token_scope
from watchkeeper.kill.model import Covered, LockInForce
from watchkeeper.kill.rules import covering
from watchkeeper.models.statistics import Statistics
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.budgets import Measure
from watchkeeper.wire.decisions import Answer, Ask, Outcome, Performer, Usage

SWITCHED_OFF = "STOP"
UNREAD = "unread"
"""Stand for a lock where the switch file stops everything, or the locks can't be read."""


class Decider:
    """The one way in: ask, perform, settle."""

    def __init__(self, store: Store, catalogue: CatalogueView) -> None:
        self.store = store
        self.catalogue = catalogue
        self.coverage = RolesInForce(catalogue)
        self.flights = Flights()
        self.waiting = Waiting(store.clock)
        self.taken = Taken()
        self.statistics = Statistics()
        """How providers do, as the gateway's calls show."""
        self.noting = Noting()
        """What is done once as budgets reach their levels."""
        self.breakers = Open()
        """Which agents may have an open breaker; the deciding transaction reads its own."""
        self.locks: tuple[LockInForce, ...] = ()
        """The locks in force as last committed; the deciding transaction reads its own."""
        self.unread = False
        """Another lock may be in force than those, and nothing is permitted until they are read."""
        self.switched_off: Callable[[], str | None] = lambda: None
        """Says why everything is stopped, whatever the store says; None: it is not."""

    def check_switch(self) -> None:
        """Raise `Forbidden` while everything is stopped by the switch file, `Unavailable` while it
        is not known which locks are in force.
        """
        if self.unread:
            raise too_slow()
        why = self.switched_off()
        if why is not None:
            raise Forbidden(
                f"everything is stopped: {why}",
                code="locked",
                rule=f"lock/{SWITCHED_OFF}",
                remedy="nothing until a person has taken the plane's switch file away",
            )

    async def decide(self, token: str, ask: Ask, *, performer: Performer = "agent") -> Answer:
        """Decide one action of the run that `token` opens, for `performer` to carry out.

        An answer with a `replay` is of a call that was permitted before: it is not to be
        carried out. Raises `Unauthenticated` for a token that opens nothing, `Invalid` for
        arguments that have no canonical form, `Unavailable` when the store can't be written in
        time, `Forbidden` while everything is stopped by the switch file.
        """
        self.check_switch()
        action = await as_action(ask)
        (answer, covered), catalogue = await in_time(
            self.store.write(
                lambda tx: (self._decide(tx, token, ask, action, performer), self.catalogue.now)
            )
        )
        if covered is not None and performer == "plane":
            self.flights.expect(answer.decision, covered, catalogue)
        return answer

    def decide_in(self, tx: Transaction, token: str, ask: Ask, action: Action) -> Answer:
        """Decide within a unit of work an action that was seen to be held: no permit is taken."""
        answer, covered = self._decide(tx, token, ask, action, "agent")
        assert covered is None, "a permit needs somebody to carry it out"
        return answer

    async def identify(self, token: str) -> Caller:
        """Return whose run token this is; raise `Unauthenticated` if it opens nothing."""
        run = await in_time(self.store.read(lambda tx: check_token(facts_of(tx, token), tx.now)))
        scope = read_token_scope(run.scope)
        return Caller(
            run.agent, run.run, scope, run.on_behalf_of, run.environment, run.version,
            run.state == "stopped", run.lineage,
        )  # fmt: skip

    def in_flight(
        self, decision: str, cancel: Callable[[], None]
    ) -> AbstractContextManager[InFlight]:
        """Register a permitted action while it is performed; a kill calls `cancel`."""
        return self.flights.fly(decision, cancel, self._lock_over)

    async def settle(
        self,
        decision: str,
        outcome: Outcome,
        *,
        token: str | None = None,
        result: str | None = None,
        begun: bool = True,
        patience: float = 0,
    ) -> None:
        """Record how a permitted action ended; saying it again changes nothing.

        With `patience` it may wait so many seconds to be made durable with others.

        `result` is what its caller is given, kept a while for the same call; an action that
        has not `begun` leaves the same call free to be made. With a `token`, raises `Forbidden`
        unless the decision is of that token's run and the agent carries it out: no agent says
        what the plane's own calls cost.
        """
        await self.store.write(
            lambda tx: self._settle(tx, decision, outcome, token, result, begun), patience=patience
        )
        self.flights.forget(decision)

    async def extend(self, decision: str, more: Usage) -> bool:
        """Hold more for an action that is under way, so that it can be tried once more; False
        where a budget has no room for it.
        """
        return await self.store.write(lambda tx: hold_more(tx, self.catalogue.now, decision, more))

    def settle_in(
        self, tx: Transaction, decision: str, outcome: Outcome, *, begun: bool = True
    ) -> None:
        """Record within a unit of work how an action ended that nobody settles any more.

        What is held for it counts as used, until somebody reports after all; of an action that
        never began, nothing.
        """
        if begun:
            budgets.expire(tx, decision)
        self._settle(tx, decision, outcome, None, None, begun)
        tx.after_commit(lambda: self.flights.forget(decision))

    async def recall(self, decision: str) -> str | None:
        """Return what the caller of a settled decision was given, if that is kept."""
        return await self.store.read(lambda tx: recall(tx, find_decision(tx, decision)))

    async def caller_left(self, request: str) -> None:
        """Note that the caller of a held action hung up, unless another waits for the same."""
        if not self.waiting.waits(request):
            await self.store.write(lambda tx: caller_left(tx, request))

    def _lock_over(self, covered: Covered) -> str | None:
        if self.unread or self.switched_off() is not None:
            return UNREAD if self.unread else SWITCHED_OFF
        lock = covering(self.locks, covered)
        return lock.lock if lock else None

    def _decide(
        self, tx: Transaction, token: str, ask: Ask, action: Action, performer: Performer
    ) -> tuple[Answer, Covered | None]:
        run = check_token(facts_of(tx, token), tx.now)
        catalogue = self.catalogue.now
        if ask.callback is not None:
            check_callback(catalogue, run.agent, ask.callback)
        ask, action = recordable(catalogue, run.agent, ask, action)
        if performer == "agent" and action.kind == "model":
            action = with_some_use(action)
        decision = tx.new_id("dec")
        governed = catalogue.agents.get(run.agent)
        facts = LiveFacts(tx, catalogue, run, decision, self.statistics, self.breakers)
        covered = covered_by(catalogue, run, action)
        # a caller that overlooks the replay must not act on a permit under a lock, nor while a
        # breaker is open
        tool = catalogue.tools.get(action.name) if action.kind == "tool" else None
        contract = tool.contract if tool else None
        call = name_call(ask.idempotency_key, action, contract)
        cut = None
        if facts.epoch and action.kind == "tool":  # else no lock ever cut anything
            cut = find_poisoned(tx, run.agent, ask.idempotency_key, action.call_digest)
        if (
            (call or cut is not None)
            and run.state == "open"
            and covering(facts.locks, covered) is None
            and breaker_gate(action, facts, Progress()) is None
            and read_token_scope(run.scope).admits(use_of(catalogue, action))
        ):
            replayed = find_replay(
                tx, run, ask, action, call, taken=self.taken, locks=facts.locks, cut=cut
            )
            if replayed is not None:
                return replayed, None
        ruling, progress = decide_by_gates(action, facts)
        decide_by = None
        if ruling.narrowed is not None:
            action, ruling, found = follow_narrowed(tx, facts, action, ruling, performer)
            progress = found or progress
        risk = risk_of(action, catalogue, progress)
        if ruling.voids is not None:
            void(tx, *ruling.voids)
        if ruling.verdict == "hold":
            request = ruling.request
            if request is None and ruling.top_up is not None:
                request = open_top_up(tx, decision, facts, ruling, ruling.top_up, self.coverage)
            elif request is None:
                end_outdated(tx, facts, action, progress)
                request = open_request(tx, decision, facts, action, ruling, progress, self.coverage)
                link_new(tx, request)
            caller_came(tx, request)
            if ask.callback is not None:
                call_back(tx, request, ask.callback)
            ruling = Ruling(
                "hold",
                ruling.rule,
                ruling.reason,
                ruling.allowed_instead,
                request=request,
                narrowed=ruling.narrowed,
            )
            decide_by = decide_by_of(tx, request)
        elif ruling.verdict == "permit":
            check_critical(risk, ruling, progress.digest)
        if (
            ruling.verdict == "permit"
            and ruling.grant is not None
            and not approvals.redeem(tx, ruling.grant, decision, tx.now)
        ):
            raise Conflict("the approval was used just now", code="grant_used")
        if ruling.standing is not None:
            use_standing(tx, run, progress, ruling.standing)
        if ruling.verdict == "permit" and not all(
            uses.count(tx, detail, progress.amount_micros) for detail in progress.spends
        ):
            raise Conflict("what the token is good for was used up just now", code="token_used")
        if ruling.verdict == "permit" and facts.held is not None and catalogue.responding:
            self.noting.look(tx, catalogue, run, facts.held.filled)
        if ruling.pause is not None:
            self.noting.pause(tx, catalogue, run, ruling.pause)
        if progress.probes or ruling.verdict == "deny":
            take_part(tx, ruling, progress, decision)
        record_decision(
            tx,
            decision,
            run,
            action,
            ruling,
            epoch=facts.epoch,
            idempotency_key=ask.idempotency_key,
            performer=performer,
            progress=progress,
            level=catalogue.redaction_of(run.agent),
            policies=catalogue.policies_digest,
            risk=risk,
            team=catalogue.team_of(run.agent),
            project=governed.contract.project if governed else None,
            traceparent=ask.traceparent,
            source=contract.retrieves if contract else None,
        )
        if (
            call
            and ruling.verdict == "permit"
            and is_remembered(
                contract,
                performer,
                keyed=ask.idempotency_key is not None,
                approved=ruling.grant is not None,
            )
        ):
            remember(tx, run.run, call, decision, contract)
        if progress.routed is not None:
            covered = covered_there(catalogue, covered, progress.routed, progress.hosted)
        if ruling.grant is not None:
            covered = replace(covered, approval=ruling.grant.request)
        answer = as_answer(decision, ruling, progress, decide_by)
        return answer, covered if ruling.verdict == "permit" else None

    def _settle(
        self,
        tx: Transaction,
        decision: str,
        outcome: Outcome,
        token: str | None,
        result: str | None,
        begun: bool,
    ) -> None:
        row = find_to_settle(tx, decision)
        if token is not None:
            check_reporter(tx, row, token)
        if row.verdict != "permit":
            raise Conflict(f"decision {decision} was not a permit: nothing ran under it")
        presumed = row.error == NOBODY_REPORTED and token is not None
        if row.settled_at is not None and not presumed:
            if token is not None:
                tell_reconciled(tx, decision)
            tx.silent("it was settled before, and that is on record")
            return
        if row.performer == "agent" and keeps_nothing(self.catalogue.now, row.agent, row.kind):
            outcome = without_agents_words(outcome)
        usage = outcome.usage
        level = self.catalogue.now.redaction_of(row.agent)
        said = {
            "result_digest": kept_words(outcome.result_digest, level),
            "error": by_agents_word(kept_words(outcome.error, level), token),
            "route_reason": kept_words(outcome.route_reason, level),
        }
        if any(getattr(outcome, name) != words for name, words in said.items()):
            outcome = outcome.model_copy(update=said)
        record_outcome(tx, row, outcome)
        if begun and outcome.status == "unknown":
            poison_if_cut(tx, self.catalogue.now, row, self.flights.lock_of(decision))
        if begun:
            keep_result(tx, row, result)
            # the plane cuts a tool call off at its time limit: what passes until it is on record
            # is not the tool's
            is_cut = row.performer == "plane" and row.kind == "tool"
            within: tuple[Measure, ...] = ("wall_time",) if is_cut else ()
            used = amounts_of(usage)
            used["retries"] = usage.retries
            draw_on_used(tx, self.catalogue.now, row, used)
            budgets.settle(tx, decision, used, outcome.status, within=within)
        else:
            release(tx, row)
            budgets.void(tx, decision)
        if row.request is not None:
            approvals.record_outcome(tx, row.request, outcome.status)


async def as_action(ask: Ask) -> Action:
    """Return what is asked for, looked through; raise `Invalid` for what has no form."""
    check_names(ask)
    return Action(
        ask.kind,
        ask.name,
        ask.arguments,
        ask.estimate,
        without_secrets(ask.explanation) if ask.explanation else None,
        ask.fulfils,
        await examine_aside(ask.arguments),
    )
