"""Reported calls, findings and senders in the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, delete, func, literal_column, or_, select, update

from watchkeeper.store.retention import is_held
from watchkeeper.store.statement import Row, Statement, insert
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces.tables import spans
from watchkeeper.traces.telemetry.kept import Kept
from watchkeeper.traces.telemetry.tables import (
    is_waiting,
    reported_calls,
    telemetry_findings,
    telemetry_senders,
)

AT_ONCE = 500
"""How many calls one purge takes."""
_MOST_ALIKE = 200
_calls, _found, _senders = reported_calls.c, telemetry_findings.c, telemetry_senders.c

_OF_AGENTS = {"source": "'agent'", "kind": "'reported'"} | dict.fromkeys(
    ("cost_micros", "input_tokens", "output_tokens", "calls", "refusals"), "0"
)
"""What every reported span has in its row, written out."""
_OF_PLANE = ("version", "verdict", "outcome", "rule", "request", "sequence", "principal", "classes")
"""Columns that no reported span has."""
_SAID = [column.name for column in spans.columns if column.name not in (*_OF_AGENTS, *_OF_PLANE)]
_put = insert(spans).values(
    {name: bindparam(name) for name in _SAID}
    | {name: literal_column(value) for name, value in _OF_AGENTS.items()}
)
_PUT = Statement(
    _put.on_conflict_do_update(
        index_elements=["key"],
        set_={name: _put.excluded[name] for name in _SAID if name != "key"},
    )
)

_ADD_CALL = Statement(
    insert(reported_calls)
    .values({column.name: bindparam(column.name) for column in reported_calls.columns})
    .on_conflict_do_nothing(index_elements=["key"])
)
_WAITING = Statement(
    select(reported_calls)
    .where(
        _calls.agent == bindparam("agent_is"),
        is_waiting,
        _calls.received_at <= bindparam("before"),
    )
    .order_by(_calls.received_at, _calls.start, _calls.key)
    .limit(bindparam("most"))
)
_OLDEST = Statement(
    select(func.min(_calls.received_at)).where(_calls.agent == bindparam("agent_is"), is_waiting)
)
_SETTLE = Statement(
    update(reported_calls)
    .where(_calls.key == bindparam("key_is"))
    .values(state=bindparam("state_to"), decision=bindparam("decision_to"))
)
_CALL = Statement(
    select(_calls.kind, _calls.subject, _calls.parent).where(_calls.key == bindparam("key_is"))
)
_OF_TRACE = Statement(
    select(_calls.kind, _calls.subject, _calls.call, _calls.state)
    .where(
        _calls.key > bindparam("above"),
        _calls.key < bindparam("below"),
        _calls.kind == bindparam("kind_is"),
        or_(
            _calls.call == bindparam("call_is"),
            _calls.start.between(bindparam("start_from"), bindparam("start_to"))
            & _calls.end.between(bindparam("end_from"), bindparam("end_to")),
        ),
    )
    .limit(_MOST_ALIKE)
)
_PARENT = Statement(select(spans.c.parent).where(spans.c.key == bindparam("key_is")))
_by_agent = spans.c.agent.concat("") == bindparam("agent_is")
"""So that no engine looks for an agent's spans, which are many, by an index of agents."""
_RUN_OF_TRACE = Statement(
    select(spans.c.run)
    .where(
        spans.c.trace == bindparam("trace_is"),
        _by_agent,
        spans.c.run.is_not(None),
    )
    .limit(1)
)
_is_theirs = (
    spans.c.trace == bindparam("trace_is"),
    _by_agent,
    spans.c.source == "agent",
    spans.c.run.is_(None),
)
_JOIN_SPANS = Statement(update(spans).where(*_is_theirs).values(run=bindparam("run_to")))
_JOIN_CALLS = Statement(
    update(reported_calls)
    .where(
        _calls.agent == bindparam("agent_is"),
        _calls.trace == bindparam("trace_is"),
        is_waiting,
        _calls.run.is_(None),
    )
    .values(run=bindparam("run_to"))
)
_PURGE = Statement(
    delete(reported_calls).where(
        _calls.key.in_(
            select(_calls.key)
            .where(
                _calls.received_at < bindparam("before"),
                ~is_waiting,
                ~is_held(run=_calls.run, agent=_calls.agent),
            )
            .order_by(_calls.received_at)
            .limit(AT_ONCE)
        )
    )
)
_sent = insert(telemetry_senders).values(
    {column.name: bindparam(column.name) for column in telemetry_senders.columns}
)
_SENT = Statement(
    _sent.on_conflict_do_update(
        index_elements=["agent"],
        set_={
            **{name: telemetry_senders.c[name] + _sent.excluded[name]
               for name in ("spans", "joined", "rejected", "logs", "points")},
            "last_at": _sent.excluded.last_at,
        },
    )
)  # fmt: skip
_FIND = Statement(
    select(telemetry_findings).where(
        _found.agent == bindparam("agent_is"),
        _found.kind == bindparam("kind_is"),
        _found.subject == bindparam("subject_is"),
    )
)
_COUNT = Statement(
    select(func.count())
    .select_from(telemetry_findings)
    .where(_found.agent == bindparam("agent_is"), _found.kind == bindparam("kind_is"))
)
_ADD = Statement(insert(telemetry_findings))
_AGAIN = Statement(
    update(telemetry_findings)
    .where(_found.finding == bindparam("finding_is"))
    .values(
        count=_found.count + 1,
        last_at=bindparam("at"),
        run=bindparam("run_to"),
        trace=bindparam("trace_to"),
        dismissed_at=None,
        dismissed_by=None,
        reason=None,
    )
)
_BY_ID = Statement(select(telemetry_findings).where(_found.finding == bindparam("finding_is")))
_DISMISS = Statement(
    update(telemetry_findings)
    .where(_found.finding == bindparam("finding_is"), _found.dismissed_at.is_(None))
    .values(dismissed_at=bindparam("at"), dismissed_by=bindparam("by"), reason=bindparam("why"))
)


def put_spans(
    tx: Transaction, agent: str, trace: str, run: str | None, kept: Sequence[Kept]
) -> None:
    """Write what is kept of a trace, in place of what was there under the same keys."""
    of: dict[str, Any] = {"agent": agent, "trace": trace, "run": run}
    place = f"{agent}/{trace}"
    _PUT.run_many(
        tx,
        [
            of
            | {
                "key": f"{place}/{one.place}",
                "span": one.span,
                "parent": one.parent,
                "operation": one.operation,
                "subject": one.subject,
                "start": one.start,
                "end": one.end,
                "status": one.status,
                "error": one.error,
                "links": one.links,
                "marks": one.marks,
                "attributes": one.attributes,
            }
            for one in kept
        ],
    )


def add_calls(tx: Transaction, calls: Iterable[Mapping[str, Any]]) -> None:
    """Keep calls to be looked for; one that is known already stays as it is."""
    _ADD_CALL.run_many(tx, [dict(one) for one in calls])


def waiting_calls(tx: Transaction, agent: str, before: int, limit: int) -> list[Row]:
    """Return an agent's calls that came by a time and were not looked for, in their order."""
    return _WAITING.all(tx, agent_is=agent, before=before, most=limit)


def oldest_waiting(tx: Transaction, agent: str) -> int | None:
    """Return when the first of an agent's calls came that was not looked for."""
    found: int | None = _OLDEST.scalar(tx, agent_is=agent)
    return found


def settle_call(tx: Transaction, key: str, state: str, decision: str | None = None) -> None:
    """Write what a call was found to be."""
    _SETTLE.run(tx, key_is=key, state_to=state, decision_to=decision)


def find_call(tx: Transaction, key: str) -> Row | None:
    """Return `kind`, `subject` and `parent` of a reported call."""
    return _CALL.first(tx, key_is=key)


def is_logged(call: Row) -> bool:
    """Tell whether a log record told of a call, not a span."""
    return bool(call.key.startswith(f"{call.agent}/{call.trace}/log/"))


def calls_of_trace(tx: Transaction, call: Row, logged: bool, apart: int) -> list[Row]:
    """Return what spans or log records of a call's trace tell of by its id, or about its time."""
    place = f"{call.agent}/{call.trace}/"
    # a span's id is of hexadecimal digits
    above, below = (f"{place}log/", f"{place}log0") if logged else (place, f"{place}g")
    return _OF_TRACE.all(
        tx, above=above, below=below, kind_is=call.kind, call_is=call.call,
        start_from=call.start - apart, start_to=call.start + apart,
        end_from=call.end - apart, end_to=call.end + apart,
    )  # fmt: skip


def parent_of(tx: Transaction, key: str) -> str | None:
    """Return the span id above a reported span."""
    found: str | None = _PARENT.scalar(tx, key_is=key)
    return found


def purge_calls(tx: Transaction, before: int) -> int:
    """Forget calls that were looked for before a time, up to a bound, unless held."""
    tx.silent("what was found of them stays")
    return _PURGE.run(tx, before=before)


def run_of_trace(tx: Transaction, agent: str, trace: str) -> str | None:
    """Return the agent's run that some span of a trace is known to belong to."""
    found: str | None = _RUN_OF_TRACE.scalar(tx, trace_is=trace, agent_is=agent)
    return found


def join_trace(tx: Transaction, agent: str, trace: str, run: str) -> None:
    """Put what an agent said of a trace into a run, as far as it is in none."""
    _JOIN_SPANS.run(tx, trace_is=trace, agent_is=agent, run_to=run)
    _JOIN_CALLS.run(tx, trace_is=trace, agent_is=agent, run_to=run)


def count_sent(tx: Transaction, agent: str, **more: int) -> None:
    """Add to what an agent has sent."""
    counts = dict.fromkeys(("spans", "joined", "rejected", "logs", "points"), 0) | more
    _SENT.run(tx, agent=agent, last_at=tx.now, **counts)


def find_finding(tx: Transaction, agent: str, kind: str, subject: str) -> Row | None:
    """Return what was found about an agent and a subject."""
    return _FIND.first(tx, agent_is=agent, kind_is=kind, subject_is=subject)


def count_findings(tx: Transaction, agent: str, kind: str) -> int:
    """Return how many findings of a kind there are about an agent."""
    return int(_COUNT.scalar(tx, agent_is=agent, kind_is=kind))


def add_finding(tx: Transaction, **values: Any) -> None:
    """Write a finding."""
    row = dict.fromkeys(column.name for column in telemetry_findings.columns)
    _ADD.run(tx, **(row | values))


def found_again(tx: Transaction, finding: str, run: str | None, trace: str | None) -> None:
    """Count one more; what was dismissed is open again."""
    _AGAIN.run(tx, finding_is=finding, at=tx.now, run_to=run, trace_to=trace)


def read_finding(tx: Transaction, finding: str) -> Row | None:
    """Return a finding by its id."""
    return _BY_ID.first(tx, finding_is=finding)


def dismiss(tx: Transaction, finding: str, by: str, why: str) -> bool:
    """Dismiss a finding; False where it was dismissed before."""
    return bool(_DISMISS.run(tx, finding_is=finding, at=tx.now, by=by, why=why))
