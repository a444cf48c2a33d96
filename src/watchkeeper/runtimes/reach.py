"""What locks cover of that which runs in a runtime, rogue runs too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, select

from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.gates.kill import covered_run
from watchkeeper.identity.model import RunFacts
from watchkeeper.identity.recorded import recorded_runs
from watchkeeper.kill.model import Covered
from watchkeeper.runtimes.tables import remote_runs
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction

_AT_ONCE = 500
_EXPECTED = Statement(
    select(remote_runs)
    .where(
        remote_runs.c.runtime == bindparam("runtime_is"),
        remote_runs.c.ended_at.is_(None),
        remote_runs.c.lost_at.is_(None),
    )
    .order_by(remote_runs.c.id)
)


class Known(NamedTuple):
    """What tells whether a lock covers a run in a runtime."""

    covered: Covered
    state: str | None
    """Of the run of ours that it names; None where there is none."""


def expected_runs(tx: Transaction, runtime: str) -> Sequence[Row]:
    """Return the runs of a runtime that go on as far as anybody knows, by id."""
    return _EXPECTED.all(tx, runtime_is=runtime)


def known_of(
    tx: Transaction,
    catalogue: Catalogue,
    runtime: str,
    named: Iterable[tuple[str, str | None, str | None]],
) -> dict[str, Known]:
    """Return what locks see of runs: id, agent and run of ours of each, as far as those are known.

    A run is covered by what covers the agent that it is, and the run of ours that it names, or
    those above that: what it says of itself may be wrong.
    """
    rows = list(named)
    ours = sorted({run for _, _, run in rows if run})
    facts: dict[str, RunFacts] = {}
    for start in range(0, len(ours), _AT_ONCE):
        facts |= recorded_runs(tx, ours[start : start + _AT_ONCE])
    return {
        id: Known(
            _covered(catalogue, runtime, agent, facts.get(run or ""), run),
            facts[run].state if run in facts else None,
        )
        for id, agent, run in rows
    }


def _covered(
    catalogue: Catalogue, runtime: str, agent: str | None, ours: RunFacts | None, run: str | None
) -> Covered:
    team = catalogue.team_of(agent) if agent else ""
    above = () if ours is None else (covered_by_facts(catalogue, ours),)
    return Covered(run or "", agent or "", team, runtimes=(runtime,), above=above)


def covered_by_facts(catalogue: Catalogue, run: RunFacts, tool: str | None = None) -> Covered:
    """Return what locks see of a run of ours, and of a tool that it calls."""
    return covered_run(
        catalogue,
        run.run,
        run.agent,
        run.version,
        run.on_behalf_of,
        run.ancestors,
        run.versions_above,
        tool=tool,
    )
