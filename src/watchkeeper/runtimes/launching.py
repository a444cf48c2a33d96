"""A run for each launch of a supervised process: opened before it starts, closed after it ends.

So a process is governed from its first moment, and an agent that a lock covers is not started.
"""

from __future__ import annotations

from collections.abc import Mapping

from watchkeeper.core.errors import Conflict, NotFound
from watchkeeper.decide.catalogue import CatalogueView
from watchkeeper.decide.runs.children import end_run
from watchkeeper.decide.runs.envelope import Envelopes
from watchkeeper.identity.model import NewRun, Workload
from watchkeeper.registry.runtimes import Runtime
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.runtimes import RunState


class RunsOfLaunches:
    """Opens and closes them."""

    def __init__(self, store: Store, view: CatalogueView, envelopes: Envelopes) -> None:
        self._store = store
        self._view = view
        self._envelopes = envelopes

    async def open(self, document: Runtime) -> Mapping[str, str]:
        """Return the variables that a process gets with its run.

        Raises what opening a run raises: `Forbidden` without a contract, or under a lock.
        """
        agent = document.agents[0].agent
        governed = self._view.now.agents.get(agent)
        environment = governed.contract.environments[0] if governed else ""
        new = NewRun(goal=f"a process of runtime {document.name}", environment=environment)
        workload = Workload(agent=agent, proof=f"runtime/{document.name}")
        issued = await self._store.write(
            lambda tx: self._envelopes.open_in(tx, workload, new),
        )
        return {"WATCHKEEPER_RUN_ID": issued.run, "WATCHKEEPER_RUN_TOKEN": issued.token}

    async def close(self, document: Runtime, run: str, state: RunState) -> None:
        """Close the run of a process of which nothing is left; one that has ended stays so."""
        agent = document.agents[0].agent
        outcome = "succeeded" if state == "done" else "failed"

        def unit(tx: Transaction) -> None:
            tx.silent("a run that has ended already stays as it ended")
            try:
                end_run(tx, agent, run, outcome, f"its process has ended: {state}")
            except (Conflict, NotFound):
                return

        await self._store.write(unit)
