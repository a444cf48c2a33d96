"""What every agent is doing, in words and figures."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select

from watchkeeper.breakers.model import Standing
from watchkeeper.breakers.service import read_all
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.money import dollars
from watchkeeper.decide.catalogue import Catalogue, GovernedAgent
from watchkeeper.decide.gates.kill import covered_run
from watchkeeper.decide.permissions import envelope_of
from watchkeeper.decide.records import newest_decisions
from watchkeeper.decide.runs.ailing import Ailing, find_ailing, find_overdue
from watchkeeper.decide.tables import BUCKET_US, activity
from watchkeeper.health.rules import best
from watchkeeper.identity.tables import runs
from watchkeeper.kill.model import LockInForce
from watchkeeper.kill.rules import DID, OWNS_RUNS, covers
from watchkeeper.kill.service import locks_in_force
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.agents import AgentDetail, AgentRow, AgentState
from watchkeeper.wire.health import Health
from watchkeeper.wire.locks import ENDS

WORKING_US = 20 * MICROSECONDS
"""An agent that acted within this time is `working`."""


def list_agents(
    tx: Transaction, catalogue: Catalogue, *, after: str | None, limit: int, filter_text: str = ""
) -> tuple[list[AgentRow], str | None, int]:
    """Return a page of agents by name, the key to continue after, and how many match."""
    wanted = filter_text.lower()
    names = sorted(
        name
        for name, agent in catalogue.agents.items()
        if not wanted or wanted in f"{name} {agent.contract.owner}".lower()
    )
    rest = [name for name in names if after is None or name > after]
    page = rest[:limit]
    following = page[-1] if len(rest) > limit else None
    return describe_agents(tx, catalogue, page), following, len(names)


def describe_agents(tx: Transaction, catalogue: Catalogue, names: Sequence[str]) -> list[AgentRow]:
    """Return a row for each named agent."""
    sums = _sum_activity(tx, names)
    open_runs = _count_open(tx, names)
    latest = newest_decisions(tx, "agent", names)
    locks = locks_in_force(tx)
    tripped = {one.agent: one for one in read_all(tx).values() if one.state != "closed"}
    ailing, overdue = find_ailing(tx, names), find_overdue(tx, names)
    return [
        _row(
            tx.now,
            name,
            catalogue.agents[name],
            sums.get(name),
            open_runs.get(name, 0),
            latest.get(name),
            [lock for lock in locks if _locks_agent(lock, name, catalogue)],
            tripped.get(name),
            ailing.get(name, ()),
            overdue.get(name),
        )
        for name in names
        if name in catalogue.agents
    ]


def read_agent(tx: Transaction, catalogue: Catalogue, name: str) -> AgentDetail | None:
    """Return an agent with its contract, its permission envelope and its budgets."""
    governed = catalogue.agents.get(name)
    if governed is None:
        return None
    row = describe_agents(tx, catalogue, [name])[0]
    routing = governed.contract.model_routing
    return AgentDetail(
        **row.model_dump(),
        mission=governed.contract.mission,
        business_process=governed.contract.business_process,
        contract_digest=governed.digest,
        contract_yaml=governed.text,
        envelope=envelope_of(catalogue, name),
        models=routing.models if routing else (),
        budgets=tuple(cap.budget_id for cap in catalogue.caps.named(name)),
    )


def _row(
    now: int,
    name: str,
    governed: GovernedAgent,
    sums: Row | None,
    open_runs: int,
    last: Row | None,
    locks: list[LockInForce],
    tripped: Standing | None,
    ailing: Sequence[Ailing],
    overdue: str | None,
) -> AgentRow:
    health = _health(now, open_runs, last, ailing, overdue)
    state, doing, why = _state(now, open_runs, last, locks, tripped)
    if health in ("silent", "lost") and state in ("idle", "working", "never seen"):
        state, why = "silent", (overdue or ailing[0].why)
    return AgentRow(
        name=name,
        owner=governed.contract.owner,
        version=governed.version,
        state=state,
        doing=doing,
        why=why,
        open_runs=open_runs,
        calls_hour=(sums.calls or 0) if sums else 0,
        denied_hour=(sums.denied or 0) if sums else 0,
        held=int(state == "waiting"),
        spend_hour_micros=(sums.spend_hour or 0) if sums else 0,
        spend_day_micros=sums.spend_day if sums else 0,
        last_seen_at=last.at if last else None,
        locks=tuple(lock.lock for lock in locks),
        health=health,
        ailing_runs=len(ailing),
    )


def _health(
    now: int, open_runs: int, last: Row | None, ailing: Sequence[Ailing], overdue: str | None
) -> Health | None:
    """Return how the best of its open runs does; without one only what is expected counts."""
    if overdue is not None:
        return "silent"
    if not open_runs:
        return None
    if len(ailing) >= open_runs:
        return best(one.health for one in ailing)
    return "working" if last is not None and now - last.at < WORKING_US else "quiet"


def _state(
    now: int,
    open_runs: int,
    last: Row | None,
    locks: list[LockInForce],
    tripped: Standing | None,
) -> tuple[AgentState, str, str | None]:
    """Return the state, what the agent is doing in words, and why it is not working."""
    if locks:
        lock = min(locks, key=lambda one: one.mode not in ENDS)
        why = f"{DID[lock.mode]} by {lock.by.removeprefix('person/')}: {lock.reason}"
        return ("stopped" if lock.mode in ENDS else "paused"), _did(last), why
    if tripped is not None:
        why = f"breaker {tripped.document} is {tripped.state}: {tripped.reason}"
        return "paused", _did(last), why
    if last is None:
        return ("idle", "has opened a run", None) if open_runs else ("never seen", "", None)
    if last.verdict == "deny" and last.rule.startswith("budget/") and open_runs:
        return "stopped", f"{last.name} refused by a budget", last.reason
    if last.verdict == "hold" and open_runs:
        return "waiting", f"{last.name} waits for a person", last.reason
    if now - last.at < WORKING_US:
        return "working", _did(last), None
    return "idle", f"last: {_did(last)}", None


def _did(last: Row | None) -> str:
    if last is None:
        return "has done nothing yet"
    if last.verdict == "deny":
        return f"{last.name} denied by {last.rule}"
    if last.verdict == "hold":
        return f"{last.name} held"
    cost = f", {dollars(last.cost_micros)}" if last.cost_micros else ""
    return f"{last.name} {last.outcome or 'running'}{cost}"


def _locks_agent(lock: LockInForce, name: str, catalogue: Catalogue) -> bool:
    governed = catalogue.agents[name]
    return lock.target.kind in OWNS_RUNS and covers(
        lock.target, covered_run(catalogue, "", name, governed.version, None)
    )


def _sum_activity(tx: Transaction, names: Sequence[str]) -> dict[str, Row]:
    hour = (tx.now - 3600 * MICROSECONDS) // BUCKET_US
    day = (tx.now - 86_400 * MICROSECONDS) // BUCKET_US
    in_hour = activity.c.bucket > hour
    total = activity.c.permitted + activity.c.denied + activity.c.held
    query = (
        select(
            activity.c.agent,
            func.sum(total).filter(in_hour).label("calls"),
            func.sum(activity.c.denied).filter(in_hour).label("denied"),
            func.sum(activity.c.spend_micros).filter(in_hour).label("spend_hour"),
            func.sum(activity.c.spend_micros).label("spend_day"),
        )
        .where(activity.c.agent.in_(names), activity.c.bucket > day)
        .group_by(activity.c.agent)
    )
    return {row.agent: row for row in tx.connection.execute(query)}


def _count_open(tx: Transaction, names: Sequence[str]) -> dict[str, int]:
    query = (
        select(runs.c.agent, func.count())
        .where(runs.c.agent.in_(names), runs.c.state == "open")
        .group_by(runs.c.agent)
    )
    return {row[0]: row[1] for row in tx.connection.execute(query)}


def last_hour(tx: Transaction) -> tuple[int, int]:
    """Return how often the whole fleet asked in the last hour, and what it spent (micros)."""
    hour = (tx.now - 3600 * MICROSECONDS) // BUCKET_US
    total = activity.c.permitted + activity.c.denied + activity.c.held
    query = select(
        func.coalesce(func.sum(total), 0), func.coalesce(func.sum(activity.c.spend_micros), 0)
    ).where(activity.c.bucket > hour)
    calls, spent = tx.connection.execute(query).one()
    return int(calls), int(spent)
