"""Opening, renewing and closing runs: the envelope that every action travels in."""

from __future__ import annotations

from watchkeeper.core.errors import Forbidden
from watchkeeper.decide.catalogue import GovernedAgent
from watchkeeper.decide.service import Decider
from watchkeeper.identity.enrolment import agent_of
from watchkeeper.identity.model import IssuedRun, NewRun
from watchkeeper.identity.rules import check_owner
from watchkeeper.identity.runs import close_run, facts_of, open_run, renew_token
from watchkeeper.kill.model import Covered
from watchkeeper.kill.rules import covering
from watchkeeper.kill.service import current_epoch, locks_in_force
from watchkeeper.store.transaction import Transaction


class Envelopes:
    """Runs as agents open and close them."""

    def __init__(self, decider: Decider) -> None:
        self._decider = decider

    async def open(self, credential: str, new: NewRun) -> tuple[str, IssuedRun]:
        """Open a run for the agent that `credential` belongs to; return agent and run.

        Raises `Unauthenticated` for a bad credential, `Forbidden` if no contract is in force
        for the agent or a lock covers it; that is recorded too.
        """

        def unit(tx: Transaction) -> tuple[str, IssuedRun]:
            agent = agent_of(tx, credential)
            governed = self._admit(tx, agent, run="")
            contract = governed.contract
            if new.environment not in contract.environments:
                raise Forbidden(
                    f"the contract of {agent} does not cover environment {new.environment!r}",
                    rule=f"contract/{agent}/environments",
                    remedy=f"environments: {', '.join(contract.environments)}",
                )
            issued = open_run(
                tx,
                agent,
                governed.version,
                new,
                ttl_seconds=contract.identity.token_ttl_seconds,
                epoch=current_epoch(tx),
            )
            return agent, issued

        try:
            return await self._decider.store.write(unit)
        except Forbidden as error:
            await self._record_refusal(credential, new.goal, error)
            raise

    async def _record_refusal(self, credential: str, goal: str, error: Forbidden) -> None:
        def unit(tx: Transaction) -> None:
            agent = agent_of(tx, credential)
            tx.record(
                "run.refused",
                actor=f"agent/{agent}",
                subject=f"agent/{agent}",
                agent=agent,
                body={"goal": goal, "rule": error.rule, "reason": error.message},
            )

        await self._decider.store.write(unit)

    async def renew(self, credential: str, run: str) -> tuple[str, IssuedRun]:
        """Issue another token for an open run of the credential's agent."""

        def unit(tx: Transaction) -> tuple[str, IssuedRun]:
            agent = agent_of(tx, credential)
            governed = self._admit(tx, agent, run)
            issued = renew_token(
                tx,
                agent,
                run,
                ttl_seconds=governed.contract.identity.token_ttl_seconds,
                epoch=current_epoch(tx),
            )
            return agent, issued

        return await self._decider.store.write(unit)

    async def close(self, bearer: str, run: str, outcome: str, summary: str | None) -> None:
        """Close a run with the agent's credential or the run's own token."""

        def unit(tx: Transaction) -> None:
            if bearer.startswith("wka_"):
                agent = agent_of(tx, bearer)
            else:
                facts = facts_of(tx, bearer)
                agent = check_owner(facts, run).agent
            tx.silent("closing a closed run again changes nothing")
            close_run(tx, agent, run, outcome, summary)

        await self._decider.store.write(unit)

    def _admit(self, tx: Transaction, agent: str, run: str) -> GovernedAgent:
        governed = self._decider.catalogue.now.agents.get(agent)
        if governed is None:
            raise Forbidden(
                f"no contract is in force for agent {agent!r}",
                rule="identity/contract",
                remedy="apply its contract with `watchkeeper apply -f DIR`",
            )
        lock = covering(locks_in_force(tx), Covered(run, agent, governed.contract.owner))
        if lock is not None:
            raise Forbidden(
                f"{lock.target.kind} {lock.target.name} is under a {lock.mode}: {lock.reason}",
                code="locked",
                rule=f"lock/{lock.lock}",
                remedy="nothing until a person lifts the lock",
            )
        return governed
