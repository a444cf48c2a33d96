"""What a lock does to what the store keeps, in the transaction that puts it in force."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import func, or_, select

from watchkeeper.approvals import service as approvals
from watchkeeper.approvals.standing import service as standing
from watchkeeper.budgets import lending
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.gates.kill import covered_run, upstream_of
from watchkeeper.identity.model import read_lineage, read_versions
from watchkeeper.identity.runs import revoke_tokens, stop_run
from watchkeeper.identity.tables import runs
from watchkeeper.kill.model import LockInForce, LockTarget, Receipt
from watchkeeper.kill.rules import OWNS_RUNS, covers
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Reach:
    """What a lock covers as it comes into force."""

    runs: tuple[Row, ...]
    """Open runs: run, agent, version, on_behalf_of, lineage."""
    agents: frozenset[str]
    """Whose runs those are, or that the target is about."""
    runtimes: frozenset[str]
    """Where those agents' runs run, or the runtime that is the target."""


def reach_of(tx: Transaction, catalogue: Catalogue, target: LockTarget) -> Reach:
    """Return what a lock on `target` covers now."""
    covered = tuple(open_runs_under(tx, catalogue, target))
    agents = agents_under(catalogue, target) | {row.agent for row in covered}
    if target.kind not in OWNS_RUNS:
        return Reach(covered, agents, frozenset())
    if target.kind == "runtime":
        return Reach(covered, agents, frozenset({target.name}) & catalogue.runtimes.keys())
    if target.kind == "everything":
        return Reach(covered, agents, frozenset(catalogue.runtimes))
    found = frozenset(name for agent in agents for name in catalogue.runtimes_of(agent))
    return Reach(covered, agents, found)


def open_runs_under(tx: Transaction, catalogue: Catalogue, target: LockTarget) -> list[Row]:
    """Return the open runs that a lock on `target` covers; of what owns no runs, none."""
    if target.kind not in OWNS_RUNS:
        return []
    query = select(
        runs.c.run, runs.c.agent, runs.c.version, runs.c.on_behalf_of, runs.c.lineage
    ).where(runs.c.state == "open")
    if target.kind == "run":
        query = query.where(or_(runs.c.run == target.name, runs.c.lineage.is_not(None)))
    elif target.kind in {"agent", "version"}:
        agent = target.name.partition("@")[0]
        query = query.where(or_(runs.c.agent == agent, runs.c.lineage.is_not(None)))
    found = list(tx.connection.execute(query))
    return [
        row
        for row in found
        if covers(
            target,
            covered_run(
                catalogue,
                row.run,
                row.agent,
                row.version,
                row.on_behalf_of,
                read_lineage(row.lineage),
                read_versions(row.lineage),
            ),
        )
    ]


def agents_under(catalogue: Catalogue, target: LockTarget) -> frozenset[str]:
    """Return the agents that a lock on `target` covers, or whose tools, models or providers."""
    return frozenset(
        name
        for name, governed in catalogue.agents.items()
        if covers(target, covered_run(catalogue, "", name, governed.version, None))
        or (target.kind == "tool" and target.name in governed.tools)
        or (target.kind == "upstream" and tools_under(catalogue, target) & set(governed.tools))
        or (target.kind == "model" and target.name in catalogue.reached_by(name))
        or (target.kind == "provider" and target.name in _providers(catalogue, name))
    )


def _providers(catalogue: Catalogue, agent: str) -> set[str]:
    models = (catalogue.models.get(name) for name in catalogue.reached_by(agent))
    return {target.provider.name for model in models if model for target in model.targets}


def people_told(
    catalogue: Catalogue, target: LockTarget, agents: Iterable[str] = ()
) -> tuple[str, ...]:
    """Return the owners that a lock on `target` concerns; `agents`: whose runs it covers."""
    if target.kind == "team":
        return (target.name,)
    covered = agents_under(catalogue, target) | frozenset(agents)
    owners = {catalogue.team_of(name) for name in covered}
    if target.kind == "runtime":
        runtime = catalogue.runtimes.get(target.name)
        owners |= {runtime.owner} if runtime and runtime.owner else set()
    return tuple(sorted(owners)) or ("owner",)


def pause_in_store(tx: Transaction, lock: LockInForce, reach: Reach) -> tuple[Receipt, ...]:
    """Write down what a lock that ends nothing does: it refuses."""
    at, count = tx.now, len(reach.runs)
    if lock.mode == "deny-new":
        said = f"no new run is opened; {count} open ones go on"
        access = "tokens of open runs stay valid; no new run gets one"
    else:
        said = f"open runs refused until the lock is lifted: {count}"
        access = "tokens are refused while the lock is in force, and valid again after"
    return (
        Receipt("stop run", "acknowledged", said, at),
        Receipt("revoke access", "acknowledged", access, at),
        Receipt("freeze memory", "not supported", "this plane has no memory store", at),
        Receipt("prevent retries", "acknowledged", "refusals are marked as not to be retried", at),
        Receipt(
            "block delegation",
            "acknowledged",
            "child runs are refused what their parents are",
            at,
        ),
        Receipt("safe state", "acknowledged", "open requests wait on; none is revoked", at),
    )


def end_in_store(
    tx: Transaction, catalogue: Catalogue, lock: LockInForce, reach: Reach
) -> tuple[Receipt, ...]:
    """End runs for good, with their tokens, requests and grants; return what that came to."""
    at, covered = tx.now, reach.runs
    stopped = sum(stop_run(tx, row.run, lock.lock) for row in covered)
    revoked = sum(revoke_tokens(tx, row.run) for row in covered)
    requests, grants = approvals.revoke(
        tx,
        runs=[row.run for row in covered],
        tools=tools_under(catalogue, lock.target),
        request=request_of(lock.target),
        lock=lock.lock,
        now=at,
    )
    ended = _end_standing(tx, catalogue, lock)
    children = [row for row in covered if row.lineage is not None]
    # the innermost first: what they used is part of what those above them used
    for row in sorted(children, key=lambda row: -len(read_lineage(row.lineage))):
        lending.give_back(tx, row.run)
    _record_stopped(tx, lock, covered)
    retries = f"refusals are marked as not to be retried; unused grants revoked: {grants}"
    if ended:
        retries += f"; standing approvals ended: {ended}"
    return (
        Receipt("stop run", "acknowledged", f"open runs stopped: {stopped}", at),
        Receipt(
            "revoke access",
            "acknowledged",
            _access(lock, revoked),
            at,
        ),
        Receipt("freeze memory", "not supported", "this plane has no memory store", at),
        Receipt("prevent retries", "acknowledged", retries, at),
        Receipt("block delegation", "acknowledged", f"child runs stopped: {len(children)}", at),
        Receipt(
            "safe state",
            "acknowledged",
            f"open requests revoked: {requests}; their callers are told",
            at,
        ),
    )


def _access(lock: LockInForce, revoked: int) -> str:
    if lock.target.kind in OWNS_RUNS:
        return f"run tokens revoked: {revoked}; no new run while the lock is in force"
    return f"no token is good for {lock.target.words} while the lock is in force"


def tools_under(catalogue: Catalogue, target: LockTarget) -> frozenset[str]:
    """Return the tools that a lock on a tool or an upstream covers by themselves."""
    if target.kind == "tool":
        return frozenset({target.name})
    if target.kind == "upstream":
        return frozenset(
            name for name in catalogue.tools if upstream_of(catalogue, name) == target.name
        )
    return frozenset()


def request_of(target: LockTarget) -> str | None:
    """Return the one request that a lock is on."""
    return target.name if target.kind == "approval" else None


def _end_standing(tx: Transaction, catalogue: Catalogue, lock: LockInForce) -> int:
    """End what people approved beforehand of what a lock covers for good."""
    target = lock.target
    agents = {target.name} if target.kind == "agent" else set()
    if target.kind == "team":
        agents = {name for name in catalogue.agents if catalogue.team_of(name) == target.name}
    return standing.end_covered(
        tx,
        agents=agents,
        tools=tools_under(catalogue, target),
        everything=target.kind == "everything",
        by=f"lock/{lock.lock}",
        why=f"{target.words} was killed",
    )


def _record_stopped(tx: Transaction, lock: LockInForce, covered: Sequence[Row]) -> None:
    for row in covered:
        tx.record(
            "run.stopped",
            actor=lock.by,
            subject=f"run/{row.run}",
            agent=row.agent,
            run=row.run,
            body={"lock": lock.lock, "reason": lock.reason},
        )


def count_open_runs(tx: Transaction) -> int:
    """Return how many runs are open."""
    query = select(func.count()).select_from(runs).where(runs.c.state == "open")
    return int(tx.connection.execute(query).scalar_one())
