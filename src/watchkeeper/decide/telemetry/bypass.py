"""Holds calls that agents report against those that the gateways decided, and their tokens.

A call is looked for a while after it was reported: what it is part of, and the run that its
trace belongs to, may come later. Each decision answers for one reported call.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, or_, select

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.ids import first_at
from watchkeeper.decide.catalogue import Catalogue, CatalogueView
from watchkeeper.decide.runs.sessions import is_session
from watchkeeper.decide.tables import decisions, is_permitted, is_tool
from watchkeeper.decide.telemetry import usage
from watchkeeper.decide.telemetry.findings import find
from watchkeeper.store import timers
from watchkeeper.store.statement import Row
from watchkeeper.store.timers import Handler
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces.rows import find as find_spans
from watchkeeper.traces.rows import put
from watchkeeper.traces.rules import linked
from watchkeeper.traces.telemetry import rows
from watchkeeper.traces.telemetry.naming import UNNAMED_TOOL, is_same_tool
from watchkeeper.traces.telemetry.tables import reported_calls

CHECK = "telemetry.check"
"""The timer of an agent's next look."""
GRACE_SECONDS = 60
"""How long what belongs to a call may come after it."""
SAME_SECONDS = 2
"""By how much a span and a log record of one call may differ."""
APART_SECONDS = 10
"""By how much an agent's clock may differ from the plane's."""
AT_ONCE = 4
"""Calls in one unit of work: of a busy agent whose runs are not known, some milliseconds each."""
_MOST_NAMES = 20
_MOST_UNKNOWN = 300
"""Decisions that are looked through for the name of a tool that is in no contract."""
_HIGHEST = 6
"""How many spans above a call are looked at for one that it is part of."""


def watch(tx: Transaction, agent: str) -> None:
    """See to it that an agent's calls are looked for, and what it says it used."""
    timers.ensure(tx, CHECK, agent, tx.now + GRACE_SECONDS * MICROSECONDS)


def checking(view: CatalogueView) -> Handler:
    """Return what is done as such a timer comes due."""
    return lambda tx, agent, due_at: look(tx, view.now, agent)


def look(tx: Transaction, catalogue: Catalogue, agent: str) -> None:
    """Look for the calls of an agent that have waited long enough."""
    tx.silent("calls that a gateway saw are on record")
    grace = GRACE_SECONDS * MICROSECONDS
    for call in rows.waiting_calls(tx, agent, tx.now - grace, AT_ONCE):
        run = call.run or rows.run_of_trace(tx, agent, call.trace)
        if run is not None and call.run is None:
            rows.join_trace(tx, agent, call.trace, run)
        if _is_part(tx, call) or _is_told_twice(tx, call):
            rows.settle_call(tx, call.key, "part")
        elif (decided := _decided(tx, catalogue, call, run)) is not None:
            if run is None:
                rows.join_trace(tx, agent, call.trace, decided.run)
            rows.settle_call(tx, call.key, "seen", decided.decision)
            _link(tx, call.key, decided.decision)
        elif _is_answered(tx, call, run):
            rows.settle_call(tx, call.key, "part")
        else:
            rows.settle_call(tx, call.key, "unseen")
            owner = catalogue.team_of(agent)
            find(tx, "bypass", agent, call.subject, owner=owner, run=run, trace=call.trace)
    came = rows.oldest_waiting(tx, agent), usage.look(tx, catalogue, agent, tx.now - grace)
    if oldest := [at for at in came if at is not None]:
        timers.schedule(tx, CHECK, agent, max(tx.now, min(oldest) + grace))


def _link(tx: Transaction, said: str, decided: str) -> None:
    """Have an agent's span lead to the plane's own of the same call, where both are kept."""
    known = find_spans(tx, (said, decided))
    if len(known) > 1:
        put(tx, (linked(known[said], known[decided], "said"),))


def _is_part(tx: Transaction, call: Row) -> bool:
    """Tell whether a span above is of the same call: instrumentations report it one in another."""
    above, place = call.parent, f"{call.agent}/{call.trace}"
    for _ in range(_HIGHEST):
        if above is None:
            return False
        found = rows.find_call(tx, f"{place}/{above}")
        if found is not None and _is_same(call, found):
            return True
        above = found.parent if found is not None else rows.parent_of(tx, f"{place}/{above}")
    return False


def _is_told_twice(tx: Transaction, call: Row) -> bool:
    """Tell whether the trace has the same call as the other of a span and a log record.

    The span answers for both, unless the record was looked for before.
    """
    logged = rows.is_logged(call)
    near = SAME_SECONDS * MICROSECONDS
    for other in rows.calls_of_trace(tx, call, not logged, near):
        if call.call is not None and other.call is not None:
            same = call.call == other.call
        else:
            same = _is_same(call, other)
        if same and (logged or other.state in ("seen", "unseen")):
            return True
    return False


def _is_same(call: Row, above: Row) -> bool:
    if call.kind != above.kind:
        return False
    return call.kind == "model" or is_same_tool(call.subject, above.subject)


def _is_answered(tx: Transaction, call: Row, run: str | None) -> bool:
    """Tell whether a decision answers for another report of the same answer of a model.

    Two instrumentations of one client may report it each in a trace of its own.
    """
    if call.call is None or call.kind != "model":
        return False
    other = reported_calls.c
    same = select(other.key).where(
        *_about(tx, call, run),
        other.decision == decisions.c.decision,
        other.agent == call.agent,
        other.call == call.call,
        other.start <= call.end,
        other.end >= call.start,
    )
    return tx.connection.execute(same.limit(1)).first() is not None


def _about(tx: Transaction, call: Row, run: str | None) -> list[ColumnElement[bool]]:
    """Return what the decisions have in common that were made about the time of a call."""
    of, apart = decisions.c, APART_SECONDS * MICROSECONDS
    where = [of.agent == call.agent]
    if run is not None and is_session(tx, run):
        where.append(or_(of.run == run, of.performer == "plane"))
    elif run is not None:
        # a run is of one agent, and has fewer decisions
        where = [of.run == run]
    return [
        is_tool if call.kind == "tool" else of.kind == call.kind,
        *where,
        of.decision >= first_at("dec", call.start - apart),
        of.decision < first_at("dec", call.end + apart),
    ]


def _decided(tx: Transaction, catalogue: Catalogue, call: Row, run: str | None) -> Row | None:
    """Return the first decision that may be of a call and is of no other."""
    of = decisions.c
    taken = select(reported_calls.c.key).where(reported_calls.c.decision == of.decision).exists()
    query = select(of.decision, of.run, of.name).where(~taken)
    if call.call is not None and call.call.startswith("dec_"):
        by_id = query.where(of.decision == call.call, of.agent == call.agent)
        return tx.connection.execute(by_id).first()
    if call.call is not None and run is not None:
        # held ones were decided long before they ran
        by_key = query.where(of.run == run, of.idempotency_key == call.call, is_permitted)
        if (found := tx.connection.execute(by_key).first()) is not None:
            return found
    query = query.where(*_about(tx, call, run)).order_by(of.decision)
    if call.kind == "tool" and call.subject == UNNAMED_TOOL:
        return tx.connection.execute(query.limit(1)).first()
    known = [name for name in catalogue.tools if is_same_tool(call.subject, name)]
    if call.kind == "tool" and not known:
        # what there is no contract for was asked for by any name, and denied
        some = tx.connection.execute(query.limit(_MOST_UNKNOWN))
        return next((row for row in some if is_same_tool(call.subject, row.name)), None)
    named: ColumnElement[bool] = of.name.in_([call.subject, *known[:_MOST_NAMES]])
    if call.kind == "model":
        named = or_(
            of.name == call.subject, of.model == call.subject, of.provider_model == call.subject
        )
    return tx.connection.execute(query.where(named).limit(1)).first()
