"""Child runs: opened under a parent, within what it may and has, and ended with it."""

from __future__ import annotations

from collections.abc import Mapping

from watchkeeper.budgets import lending
from watchkeeper.budgets.model import Refused
from watchkeeper.core.digest import canonical
from watchkeeper.core.errors import BudgetExceeded, Forbidden
from watchkeeper.decide.budgets.caps import caps_over, run_ceilings
from watchkeeper.decide.catalogue import Catalogue, GovernedAgent
from watchkeeper.identity import runs
from watchkeeper.identity.details import Use
from watchkeeper.identity.model import ChildOf, RunFacts, write_lineage
from watchkeeper.identity.scope import read_token_scope
from watchkeeper.store import timers
from watchkeeper.store.timers import Handler
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.budgets import Measure

EXPIRY = "identity.child"
"""The kind of the timer that ends a child run whose last token has expired."""


def lineage_under(parent: RunFacts) -> tuple[tuple[str, str], ...]:
    """Return the runs above a child of `parent`, with their agents, outermost first."""
    return (*parent.ancestors, (parent.run, parent.agent))


def versions_under(parent: RunFacts) -> Mapping[str, int]:
    """Return the versions of the agents of the runs above a child of `parent`, by run."""
    return {**parent.versions_above, parent.run: parent.version}


def check_delegation(catalogue: Catalogue, parent: RunFacts, agent: str) -> None:
    """Raise `Forbidden` unless every run above may hand work on this far, and to this agent."""
    above = lineage_under(parent)
    for distance, (_, name) in enumerate(reversed(above), start=1):
        governed = catalogue.agents.get(name)
        if governed is None:
            raise Forbidden(
                f"no contract is in force for agent {name!r} above it", rule="identity/contract"
            )
        deepest = governed.contract.identity.delegation_depth
        if distance > deepest:
            raise Forbidden(
                f"the contract of {name} lets its work be handed on {deepest} runs deep",
                rule=f"contract/{name}/delegation_depth",
                remedy="let the parent do it itself",
            )
    contract = catalogue.agents[parent.agent].contract
    delegates = contract.identity.delegates_to
    if agent not in delegates:
        raise Forbidden(
            f"the contract of {parent.agent} does not let it hand work to {agent}",
            rule=f"contract/{parent.agent}/delegates_to",
            remedy=f"delegates_to: {', '.join(delegates) or 'none'}",
        )
    if not read_token_scope(parent.scope).admits(Use("agent", agent)):
        raise Forbidden(
            f"the parent's token is not for handing work to {agent}",
            rule="identity/scope",
            remedy=f"get one with the scope agent:{agent}",
        )


def borrow(
    tx: Transaction,
    catalogue: Catalogue,
    parent: RunFacts,
    child: str,
    governed: GovernedAgent,
    wanted: Mapping[Measure, int],
) -> ChildOf:
    """Hold the child's budget in its parent's; raise `BudgetExceeded` where it has no room."""
    caps = [cap for cap in caps_over(catalogue, parent).caps if cap.period == "run"]
    granted = lending.lend(
        tx,
        parent=parent.run,
        child=child,
        agent=parent.agent,
        caps=caps,
        wanted=wanted,
        usual=run_ceilings(governed.contract.budgets),
    )
    if isinstance(granted, Refused):
        raise BudgetExceeded(
            granted.sentence,
            rule=f"budget/{granted.budget_id}",
            remedy="ask for less, or " + granted.remedy,
        )
    lineage = write_lineage(lineage_under(parent), versions_under(parent))
    return ChildOf(parent.run, lineage, canonical(granted).decode())


def watch(tx: Transaction, run: str, expires_at: int) -> None:
    """See to it that a child run ends once its last token has expired."""
    timers.schedule(tx, EXPIRY, run, expires_at)


def end_run(
    tx: Transaction,
    agent: str,
    run: str,
    outcome: str | None,
    summary: str | None,
    *,
    by: str | None = None,
) -> None:
    """Close a run (without an outcome: expire it) after its children; give back what it lent.
    `by` names whoever does it for its agent.

    The innermost children end first, so that what they used is counted on every run above.
    """
    for child in runs.open_children(tx, run):
        end_run(tx, child.agent, child.run, "failed", "the run above it has ended")
    if outcome is None:
        runs.expire_run(tx, run, agent)
    else:
        runs.close_run(tx, agent, run, outcome, summary, by=by)
    lending.give_back(tx, run)


def expire_runs(tx: Transaction, before: int) -> int:
    """End open runs whose every token expired before a time; return how many."""
    abandoned = runs.abandoned_runs(tx, before)
    if not abandoned:
        tx.silent("every open run has a token")
    for row in abandoned:
        end_run(tx, row.agent, row.run, None, None)
    return len(abandoned)


def _expire(tx: Transaction, run: str, due_at: int) -> None:
    tx.silent("a run that has ended, or has a token yet, is left as it is")
    row = runs.find_run(tx, run)
    if row is None or row.closed_at is not None or row.state != "open":
        return
    latest = runs.latest_expiry(tx, run)
    if latest is not None and latest > tx.now:
        watch(tx, run, latest)
        return
    end_run(tx, row.agent, run, None, None)


HANDLERS: dict[str, Handler] = {EXPIRY: _expire}
"""What the sweeper runs for child runs, by timer kind."""
