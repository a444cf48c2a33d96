"""Holds the tokens that agents' metrics report against those that the gateways metered."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import bindparam, case, func, select

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.ids import first_at
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.runs.sessions import is_session
from watchkeeper.decide.tables import decisions, is_model
from watchkeeper.decide.telemetry.findings import find
from watchkeeper.decide.telemetry.reported import AHEAD_SECONDS, OLDEST_SECONDS
from watchkeeper.decide.telemetry.senders import Sender, run_named
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces.telemetry import usage
from watchkeeper.traces.telemetry.measuring import Measured

AT_ONCE = 4
TOLERATED_TOKENS, TOLERATED_PERCENT = 1_000, 10
"""By how much more may be reported than was metered: both together."""
_BEFORE_SECONDS = 600
"""How long before a sum begins a call may have been decided that it counts."""
_APART_SECONDS = 10
_MOST = 20_000
"""Decisions that are looked through; of more than these nothing is said."""

_d = decisions.c
_TOKENS = (
    _d.input_tokens
    + _d.output_tokens
    + func.coalesce(_d.cache_read_tokens, 0)
    + func.coalesce(_d.cache_write_tokens, 0)
)
_SEEN = select(
    case((is_model, _TOKENS), else_=0).label("tokens"),
    case((is_model, _d.cost_micros), else_=0).label("micros"),
).limit(_MOST)


def _summed(*conditions: object) -> Statement:
    of = _SEEN.where(*conditions).subquery()  # type: ignore[arg-type]
    return Statement(
        select(
            func.count().label("decisions"),
            func.coalesce(func.sum(of.c.tokens), 0).label("tokens"),
            func.coalesce(func.sum(of.c.micros), 0).label("micros"),
        ).select_from(of)
    )


_OF_RUN = _summed(_d.run == bindparam("run_is"))
_OF_AGENT = _summed(
    _d.agent == bindparam("agent_is"),
    _d.decision >= bindparam("first"),
    _d.decision < bindparam("last"),
)


class Metered(NamedTuple):
    """What the plane metered of an agent's model calls."""

    tokens: int
    micros: int


def take(tx: Transaction, sender: Sender, measured: Iterable[Measured]) -> bool:
    """Add what metrics tell; tell whether that changed anything."""
    changed = False
    runs: dict[tuple[str | None, ...], str | None] = {}
    for one in measured:
        if not -OLDEST_SECONDS <= (one.at - tx.now) // MICROSECONDS <= AHEAD_SECONDS:
            continue
        named = one.run, one.session, one.client
        if named not in runs:
            runs[named] = run_named(tx, sender, one)
        changed = usage.add(tx, sender.agent, runs[named], one) or changed
    return changed


def look(tx: Transaction, catalogue: Catalogue, agent: str, before: int) -> int | None:
    """Look at an agent's sums that changed; return when the next did, which is to wait."""
    for row in usage.waiting(tx, agent, before, AT_ONCE):
        metered = _metered(tx, row)
        if metered is None:
            usage.looked(tx, row, None, None, row.told)
            continue
        beyond = row.input_tokens + row.output_tokens - metered.tokens
        tolerated = TOLERATED_TOKENS + metered.tokens * TOLERATED_PERCENT // 100
        told = row.told
        if beyond - told > tolerated:
            owner, told = catalogue.team_of(agent), beyond
            find(tx, "unmetered", agent, row.metric, owner=owner, run=row.run or None, trace=None)
        usage.looked(tx, row, metered.tokens, metered.micros, told)
    return usage.oldest_waiting(tx, agent)


def _metered(tx: Transaction, row: Row) -> Metered | None:
    if row.run and not is_session(tx, row.run):
        found = _OF_RUN.first(tx, run_is=row.run)
    else:
        found = _OF_AGENT.first(
            tx,
            agent_is=row.agent,
            first=first_at("dec", row.since - _BEFORE_SECONDS * MICROSECONDS),
            last=first_at("dec", row.last_at + _APART_SECONDS * MICROSECONDS),
        )
    if found is None or found.decisions >= _MOST:
        return None
    return Metered(int(found.tokens), int(found.micros))
