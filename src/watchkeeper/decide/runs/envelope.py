"""Opening, renewing and closing runs: the envelope that every action travels in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from watchkeeper.core.errors import BudgetExceeded, Forbidden
from watchkeeper.core.ids import hash_secret
from watchkeeper.decide.catalogue import GovernedAgent
from watchkeeper.decide.contents import kept_of_run
from watchkeeper.decide.gates.kill import NO_VERSIONS, covered_run, forbidden, stopped
from watchkeeper.decide.runs import children
from watchkeeper.decide.runs.health import begin as begin_watch
from watchkeeper.decide.service import Decider
from watchkeeper.identity.enrolment import workload_of
from watchkeeper.identity.model import IssuedRun, NewRun, RunFacts, Workload
from watchkeeper.identity.recorded import recorded_run
from watchkeeper.identity.rules import check_owner, check_revoked, check_token
from watchkeeper.identity.runs import facts_of, open_run, renew_token
from watchkeeper.identity.scope import Layer, read_token_scope
from watchkeeper.kill.rules import covering
from watchkeeper.kill.service import current_epoch, locks_in_force
from watchkeeper.store.transaction import Transaction
from watchkeeper.tools.inspection.redaction import redact_text
from watchkeeper.tools.inspection.rules import unrecorded
from watchkeeper.wire.budgets import Measure

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Under:
    """The run that a child run is opened under: its token, and what is wanted of its budget."""

    token: str
    wanted: Mapping[Measure, int] = field(default_factory=dict)
    narrower: Layer = field(default_factory=Layer)


class Envelopes:
    """Runs as agents open and close them."""

    def __init__(self, decider: Decider) -> None:
        self._decider = decider

    async def open(
        self, credential: str, new: NewRun, under: Under | None = None
    ) -> tuple[str, IssuedRun]:
        """Open a run for the agent that `credential` belongs to; return agent and run.

        With `under` it is a child run, as `open_in` says. Raises `Unauthenticated` for a bad
        credential or parent's token; a refusal is recorded too.
        """

        def unit(tx: Transaction) -> tuple[str, IssuedRun]:
            workload = workload_of(tx, credential)
            return workload.agent, self.open_in(tx, workload, new, under)

        return await self.recorded(lambda tx: workload_of(tx, credential).agent, new.goal, unit)

    async def recorded(
        self, agent: Callable[[Transaction], str], goal: str, unit: Callable[[Transaction], T]
    ) -> T:
        """Run a unit that opens a run; if the agent may not, that is recorded."""
        self._decider.check_switch()
        try:
            return await self._decider.store.write(unit)
        except (Forbidden, BudgetExceeded) as error:
            refusal = error

            def record(tx: Transaction) -> None:
                name = agent(tx)
                tx.record(
                    "run.refused",
                    actor=f"agent/{name}",
                    subject=f"agent/{name}",
                    agent=name,
                    body={
                        "goal": self._kept(name, goal),
                        "rule": refusal.rule,
                        "reason": self._kept(name, refusal.message),
                    },
                )

            await self._decider.store.write(record)
            raise

    def open_in(
        self, tx: Transaction, workload: Workload, new: NewRun, under: Under | None = None
    ) -> IssuedRun:
        """Open a run for an agent that proved itself.

        A child run acts for whom its parent acts, in its environment, within its token's scope
        and on a part of its budget, for no longer. Raises `Forbidden` if no contract is in force
        for the agent, its contract or the parent's does not allow it, or a lock covers it or a
        run above it; `BudgetExceeded` if the parent has too little left.
        """
        agent = workload.agent
        parent = check_token(facts_of(tx, under.token), tx.now) if under else None
        behalf = parent.on_behalf_of if parent else new.on_behalf_of
        governed = self.admit(tx, agent, under=parent, on_behalf_of=behalf)
        contract = governed.contract
        run = tx.new_id("run")
        if under is not None and parent is not None:
            new = self._inherit(tx, governed, new, run, parent, under)
        if new.environment not in contract.environments:
            raise Forbidden(
                f"the contract of {agent} does not cover environment {new.environment!r}",
                rule=f"contract/{agent}/environments",
                remedy=f"environments: {', '.join(contract.environments)}",
            )
        if contract.identity.verified and new.on_behalf_of and not new.on_behalf_of_proof:
            raise Forbidden(
                f"the contract of {agent} wants proof of on whose behalf it acts",
                rule=f"contract/{agent}/identity",
                remedy="open the run at /oauth/token with a token of the person",
            )
        issued = open_run(
            tx,
            workload,
            governed.version,
            kept_of_run(new, contract.logging.pii_redaction),
            run=run,
            ttl_seconds=contract.identity.token_ttl_seconds,
            epoch=current_epoch(tx),
            owner=contract.owner,
        )
        begin_watch(tx, self._decider.catalogue.now, run, agent)
        if parent is not None:
            children.watch(tx, run, issued.expires_at)
        return issued

    def _inherit(
        self,
        tx: Transaction,
        governed: GovernedAgent,
        new: NewRun,
        run: str,
        parent: RunFacts,
        under: Under,
    ) -> NewRun:
        catalogue = self._decider.catalogue.now
        if parent.state != "open":
            raise stopped(parent.run)
        children.check_delegation(catalogue, parent, governed.contract.name)
        if new.on_behalf_of not in (None, parent.on_behalf_of):
            raise Forbidden(
                "a child run acts for whom its parent acts, and for nobody else",
                rule="identity/on-behalf-of",
                remedy="leave on_behalf_of out",
            )
        held = read_token_scope(parent.scope)
        held.check_wider(under.narrower)
        return replace(
            new,
            on_behalf_of=parent.on_behalf_of,
            on_behalf_of_proof=parent.on_behalf_of_proof,
            environment=parent.environment,
            proof_hash=hash_secret(under.token),
            proof_expires_at=parent.token_expires_at,
            scope=held.narrowed(under.narrower),
            child=children.borrow(tx, catalogue, parent, run, governed, under.wanted),
        )

    async def renew(self, credential: str, run: str) -> tuple[str, IssuedRun]:
        """Issue another token for an open run of the credential's agent."""
        self._decider.check_switch()

        def unit(tx: Transaction) -> tuple[str, IssuedRun]:
            workload = workload_of(tx, credential)
            governed = self.admit(tx, workload.agent, run)
            issued = renew_token(
                tx,
                workload,
                run,
                ttl_seconds=governed.contract.identity.token_ttl_seconds,
                epoch=current_epoch(tx),
            )
            return workload.agent, issued

        return await self._decider.store.write(unit)

    async def close(self, bearer: str, run: str, outcome: str, summary: str | None) -> None:
        """Close a run, and its children, with the agent's credential or the run's own token."""

        def unit(tx: Transaction) -> None:
            if bearer.startswith("wka_"):
                agent = workload_of(tx, bearer).agent
            else:
                facts = check_owner(facts_of(tx, bearer), run)
                if facts.state == "open":
                    check_revoked(facts)
                agent = facts.agent
            tx.silent("closing a closed run again changes nothing")
            said = self._kept(agent, summary) if summary else summary
            children.end_run(tx, agent, run, outcome, said)

        await self._decider.store.write(unit)

    def _kept(self, agent: str, text: str) -> str:
        return redact_text(text, unrecorded(self._decider.catalogue.now.redaction_of(agent)))

    def admit(
        self,
        tx: Transaction,
        agent: str,
        run: str = "",
        *,
        under: RunFacts | None = None,
        on_behalf_of: str | None = None,
        **uses: str | None,
    ) -> GovernedAgent:
        """Return an agent that may act now: in an open `run`, or else in a new one, `under`
        another or on somebody's behalf. What it uses beside, as `covered_run` names it, counts.

        Raises `Forbidden` if it or one above it has no contract, or a lock covers it.
        """
        self._decider.check_switch()
        catalogue = self._decider.catalogue.now
        governed = catalogue.agents.get(agent)
        known = recorded_run(tx, run) if run else None
        if known is not None:
            above, versions = known.ancestors, known.versions_above
        else:
            above = children.lineage_under(under) if under else ()
            versions = children.versions_under(under) if under else NO_VERSIONS
        gone = next((name for _, name in above if name not in catalogue.agents), None)
        if governed is None or gone is not None:
            raise Forbidden(
                f"no contract is in force for agent {gone or agent!r}",
                rule="identity/contract",
                remedy="apply its contract with `watchkeeper apply -f DIR`",
            )
        covered = covered_run(
            catalogue,
            run,
            agent,
            known.version if known else governed.version,
            known.on_behalf_of if known else on_behalf_of,
            above,
            versions,
            **uses,
        )
        lock = covering(locks_in_force(tx), covered, opening=not run)
        if lock is not None:
            raise forbidden(lock)
        return governed
