"""Replay runs: each of its own, marked with the run that it replays, opened for a person.

The token that such a run has in the store never leaves the plane, so nothing outside acts in it.
"""

from __future__ import annotations

from watchkeeper.core.errors import Conflict
from watchkeeper.decide.runs.children import end_run
from watchkeeper.decide.runs.envelope import Envelopes
from watchkeeper.decide.service import Decider
from watchkeeper.identity.model import IssuedRun, NewRun, ReplayOf, RunFacts, Workload
from watchkeeper.identity.scope import read_token_scope
from watchkeeper.store.transaction import Transaction

_LONGEST_REASON = 300


class ReplayRuns:
    """Opens and closes them."""

    def __init__(self, decider: Decider, envelopes: Envelopes) -> None:
        self._decider = decider
        self._envelopes = envelopes

    async def open(self, facts: RunFacts, at: str, reason: str, *, by: str) -> IssuedRun:
        """Open a run that replays another from a decision on, in the same circumstances.

        Raises `Forbidden` and others where the agent may not open a run now.
        """
        new = NewRun(
            f"replay of {facts.run} at {at}: {reason[:_LONGEST_REASON]}",
            on_behalf_of=facts.on_behalf_of,
            on_behalf_of_proof=facts.on_behalf_of_proof,
            object_kind=facts.object_kind,
            object_id=facts.object_id,
            environment=facts.environment,
            scope=read_token_scope(facts.scope),
            replay=ReplayOf(facts.run, at, by),
        )
        workload = Workload(facts.agent, f"replay/{facts.run}")
        return await self._envelopes.recorded(
            lambda tx: facts.agent,
            new.goal,
            lambda tx: self._envelopes.open_in(tx, workload, new),
        )

    async def close(self, agent: str, run: str, outcome: str, summary: str, *, by: str) -> None:
        """End a run for a person; one that was stopped or has ended meanwhile stays as it is."""

        def unit(tx: Transaction) -> None:
            tx.silent("a run that was stopped meanwhile stays as it is")
            try:
                end_run(tx, agent, run, outcome, summary, by=by)
            except Conflict:
                return

        await self._decider.store.write(unit)
