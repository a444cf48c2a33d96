"""What a run did, read for telling whether it lives."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from sqlalchemy import bindparam, case, func, select

from watchkeeper.approvals.cancelling import is_pending
from watchkeeper.approvals.rows import find_or_none
from watchkeeper.approvals.superseding import last_of
from watchkeeper.breakers.service import not_closed
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.decide.budgets.holds import NEVER_BEGUN
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.gates.kill import covered_run, words_of
from watchkeeper.decide.live import HOLD_SECONDS
from watchkeeper.decide.records import NOBODY_REPORTED
from watchkeeper.decide.runs.unsettled import PLANE_ENDED
from watchkeeper.decide.tables import decisions
from watchkeeper.health.model import Answered, Excuse, Facts, Limits, Pending, Remote, Same
from watchkeeper.health.rules import LEAST_SAME, MOST_SAME, limits_of
from watchkeeper.health.service import Kept
from watchkeeper.identity.model import read_lineage, read_versions
from watchkeeper.identity.tables import run_tokens, runs
from watchkeeper.kill.rules import covering
from watchkeeper.kill.service import locks_in_force
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction

_LOOKED_AT = 50
"""Decisions of a run that are looked at; more where all of them are the same."""
PRESUMED = frozenset({NOBODY_REPORTED, PLANE_ENDED, NEVER_BEGUN})
"""Errors of outcomes that the plane assumed: the run itself gave no sign."""

_NEWEST = Statement(
    select(
        decisions.c.at,
        decisions.c.kind,
        decisions.c.name,
        decisions.c.digest,
        decisions.c.verdict,
        decisions.c.request,
        decisions.c.performer,
        decisions.c.settled_at,
        decisions.c.error,
    )
    .where(decisions.c.run == bindparam("run_is"))
    .order_by(decisions.c.decision.desc())
    .limit(bindparam("most"))
)
_TOKENED = Statement(
    select(func.max(run_tokens.c.created_at)).where(run_tokens.c.run == bindparam("run_is"))
)
_CHILDREN = Statement(
    select(
        func.max(runs.c.opened_at).label("newest"),
        func.min(case((runs.c.state == "open", runs.c.opened_at))).label("open_since"),
    ).where(runs.c.parent == bindparam("run_is"))
)


def limits_over(catalogue: Catalogue, agent: str) -> Limits:
    """Return how long what may take in an agent's runs."""
    governed = catalogue.agents.get(agent)
    health = governed.contract.health if governed else None
    if health is None:
        return limits_of()
    return limits_of(
        heartbeat_seconds=health.heartbeat_seconds,
        silent_after_seconds=health.silent_after_seconds,
        stuck_after_seconds=health.stuck_after_seconds,
    )


def read_facts(
    tx: Transaction, catalogue: Catalogue, run: Row, kept: Kept, remote: Remote
) -> Facts:
    """Return what tells how an open run does."""
    newest = _NEWEST.all(tx, run_is=run.run, most=_LOOKED_AT)
    children = _CHILDREN.first(tx, run_is=run.run)
    assert children is not None, "a sum has a row"
    ended = [row.settled_at for row in newest if row.settled_at and row.error not in PRESUMED]
    signs = [run.opened_at, kept.heartbeat_at, _TOKENED.scalar(tx, run_is=run.run) or 0, *ended]
    signs += [row.at for row in newest[:1]] + [children.newest or 0, remote.seen_at or 0]
    last = newest[0] if newest else None
    held = _held(tx, last)
    return Facts(
        sign_at=max(signs),
        progress_at=max([run.opened_at, *ended, *_changes(newest)]),
        same=_same(tx, run, newest),
        pending=_pending(catalogue, last),
        answered=held if isinstance(held, Answered) else None,
        excuse=_excuse(tx, catalogue, run, held, children.open_since),
        # when another excuse ended is not known, so its time begins with this look
        excused_at=tx.now if kept.excused and held is None else kept.excused_at,
        missing_at=remote.lost_at,
    )


def _changes(newest: Sequence[Row]) -> list[int]:
    """Return when another call was asked for than the one before it."""
    pairs = pairwise(newest)
    found = [later.at for later, earlier in pairs if _call(later) != _call(earlier)]
    return found + [row.at for row in newest[-1:] if len(newest) < _LOOKED_AT]


def _call(row: Row) -> tuple[str, str, str]:
    return row.kind, row.name, row.digest


def _same(tx: Transaction, run: Row, newest: Sequence[Row]) -> Same | None:
    if not newest:
        return None
    call = _call(newest[0])
    count = _leading(newest, call)
    if count == _LOOKED_AT:
        newest = _NEWEST.all(tx, run_is=run.run, most=MOST_SAME)
        count = _leading(newest, call)
    elif count < LEAST_SAME:
        return Same(newest[0].name, count, newest[count - 1].at)
    if count < len(newest):
        since = newest[count].at
    else:
        since = newest[-1].at if count == MOST_SAME else run.opened_at
    return Same(newest[0].name, count, since)


def _leading(newest: Sequence[Row], call: tuple[str, str, str]) -> int:
    return next((n for n, row in enumerate(newest) if _call(row) != call), len(newest))


def _pending(catalogue: Catalogue, last: Row | None) -> Pending | None:
    if last is None or last.verdict != "permit":
        return None
    if last.settled_at is not None and last.error != NOBODY_REPORTED:
        return None
    tool = catalogue.tools.get(last.name) if last.kind == "tool" else None
    by_plane = last.performer == "plane" and tool is not None
    seconds = tool.contract.timeout_seconds if tool and by_plane else HOLD_SECONDS
    return Pending(last.name, last.at + seconds * MICROSECONDS)


def _held(tx: Transaction, last: Row | None) -> Excuse | Answered | None:
    """Return what became of the newest call where it was held."""
    if last is None or last.verdict != "hold" or last.request is None:
        return None
    if is_pending(tx, last.request):
        return Excuse(f"waits for a person about {last.name}", last.at)
    row = find_or_none(tx, last.request)
    if row is None:
        return None
    row = last_of(tx, row.request)
    return Answered(last.name, max(last.at, min(tx.now, row.decided_at or row.decide_by)))


def _excuse(
    tx: Transaction,
    catalogue: Catalogue,
    run: Row,
    held: Excuse | Answered | None,
    child_since: int | None,
) -> Excuse | None:
    if isinstance(held, Excuse):
        return held
    above = read_lineage(run.lineage)
    covered = covered_run(
        catalogue,
        run.run,
        run.agent,
        run.version,
        run.on_behalf_of,
        above,
        read_versions(run.lineage),
    )
    lock = covering(locks_in_force(tx), covered)
    if lock is not None:
        return Excuse(words_of(lock)[:500], lock.created_at)
    for breaker in not_closed(tx, run.agent):
        return Excuse(f"breaker {breaker.document} is {breaker.state}", breaker.opened_at or 0)
    if child_since is not None:
        return Excuse("a run that it opened works", child_since)
    return None
