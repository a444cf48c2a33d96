"""Runs that stand for a session of an agent's framework, and what is under way in them."""

from __future__ import annotations

import hashlib

from sqlalchemy import bindparam, select

from watchkeeper.approvals.rows import IS_OPEN
from watchkeeper.approvals.tables import requests
from watchkeeper.core.errors import Forbidden, NotFound
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.records import find_by_key
from watchkeeper.decide.tables import decisions, is_permitted
from watchkeeper.identity.enrolment import workload_of
from watchkeeper.identity.tables import replay_runs, runs
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction

SESSION = "session"
"""The kind of object that such a run is about; the object is the session."""
_LATELY = 2_000
_MOST_WAITING = 20

_of_agent = (
    select(runs.c.run, runs.c.state, runs.c.object_kind, runs.c.object_id)
    .where(runs.c.agent == bindparam("agent_is"))
    .order_by(runs.c.run.desc())
    .limit(_LATELY)
    .subquery()
)
_NEWEST = Statement(
    select(_of_agent.c.run, _of_agent.c.state)
    .where(
        _of_agent.c.object_kind == SESSION,
        _of_agent.c.object_id == bindparam("session_is"),
        # what replays a session is none
        ~select(replay_runs.c.run).where(replay_runs.c.run == _of_agent.c.run).exists(),
    )
    .order_by(_of_agent.c.run.desc())
    .limit(1)
)
_IS_SESSION = Statement(
    select(runs.c.run).where(runs.c.run == bindparam("run_is"), runs.c.object_kind == SESSION)
)
_UNDER_WAY = Statement(
    select(decisions.c.decision)
    .where(
        decisions.c.run == bindparam("run_is"),
        decisions.c.call_digest == bindparam("call_is"),
        is_permitted,
        decisions.c.settled_at.is_(None),
    )
    .order_by(decisions.c.decision.desc())
    .limit(1)
)
_WAITING = Statement(
    select(requests.c.request, requests.c.state, requests.c.tool)
    .where(requests.c.run == bindparam("run_is"), IS_OPEN)
    .order_by(requests.c.request.desc())
    .limit(_MOST_WAITING)
)


def find_session(tx: Transaction, credential: str, session: str) -> tuple[str, Row | None]:
    """Return whose credential it is, and the newest run (`run`, `state`) of a session.

    Raises `Unauthenticated` for a credential that is not known.
    """
    agent = workload_of(tx, credential).agent
    return agent, _NEWEST.first(tx, agent_is=agent, session_is=session)


def call_key(tool: str, session: str, call: str) -> str:
    """Return the idempotency key of a call, among all that coding agents ever make."""
    spelled = f"{tool}\n{session}\n{call}"
    return f"{tool}:{hashlib.sha256(spelled.encode(errors='surrogatepass')).hexdigest()}"


def run_of_session(tx: Transaction, agent: str, session: str) -> str | None:
    """Return the newest run of an agent's session, or None if it never had one."""
    row = _NEWEST.first(tx, agent_is=agent, session_is=session)
    return None if row is None else str(row.run)


def is_session(tx: Transaction, run: str) -> bool:
    """Tell whether a run stands for a session, as hooks open them: what the same agent asks the
    gateways is in a run of its own.
    """
    return _IS_SESSION.first(tx, run_is=run) is not None


def environment_of(catalogue: Catalogue, agent: str) -> str:
    """Return the environment that an agent's sessions act in: of several, production.

    Raises `Forbidden` where no contract is in force.
    """
    governed = catalogue.agents.get(agent)
    if governed is None:
        raise Forbidden(
            f"no contract is in force for agent {agent!r}",
            rule="identity/contract",
            remedy="apply its contract",
        )
    known = governed.contract.environments
    return "production" if "production" in known else known[0]


def under_way(tx: Transaction, run: str, key: str | None, call_digest: str) -> str:
    """Return the decision under which a call of a run runs; raise `NotFound` if there is none.

    Without the key that it was asked with, it is the newest of such calls.
    """
    if key is not None:
        row = find_by_key(tx, run, key)
        found = row.decision if row is not None else None
    else:
        found = _UNDER_WAY.scalar(tx, run_is=run, call_is=call_digest)
    if found is None:
        raise NotFound("no permitted call of this session is on record for what it reports")
    return str(found)


def waiting_in(tx: Transaction, run: str) -> list[Row]:
    """Return what waits for people in a run or was approved and not used yet, newest first."""
    return _WAITING.all(tx, run_is=run)
