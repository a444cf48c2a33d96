"""Interrupts as they are kept, and the steps of carrying what was decided on one."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import bindparam, literal_column, select, update

from watchkeeper.approvals.tables import requests
from watchkeeper.kill.model import Covered
from watchkeeper.runtimes.model import Interrupt, RemoteRun, Reply
from watchkeeper.runtimes.tables import interrupts
from watchkeeper.store.statement import Row, Statement, insert

_AT_ONCE = 50
_LONGEST_TEXT = 2000

ADD = Statement(
    insert(interrupts)
    .values(**{column.name: bindparam(column.name) for column in interrupts.c})
    .on_conflict_do_nothing(index_elements=["runtime", "run_id", "interrupt"])
)
KNOWN = Statement(
    select(
        interrupts.c.request, interrupts.c.run_id, interrupts.c.interrupt, interrupts.c.state
    ).where(interrupts.c.runtime == bindparam("runtime_is"))
)
_THIS = interrupts.c.request == bindparam("request_is")
DECIDE = Statement(
    update(interrupts)
    .where(_THIS, interrupts.c.state == literal_column("'pending'"))
    .values(
        state=literal_column("'decided'"),
        next_at=bindparam("at"),
    )
)
BEGIN = Statement(
    update(interrupts)
    .where(
        _THIS,
        interrupts.c.state.in_([literal_column("'decided'"), literal_column("'applying'")]),
        interrupts.c.attempts == bindparam("attempts_were"),
    )
    .values(
        state=literal_column("'applying'"),
        attempts=bindparam("to_attempts"),
        next_at=bindparam("at"),
    )
)
POSTPONE = Statement(
    update(interrupts)
    .where(_THIS, interrupts.c.attempts == bindparam("attempts_were"))
    .values(next_at=bindparam("at"), detail=bindparam("to_detail"))
)
END = Statement(
    update(interrupts)
    .where(
        _THIS,
        interrupts.c.state == bindparam("state_is"),
        interrupts.c.attempts == bindparam("attempts_were"),
    )
    .values(
        state=bindparam("to_state"),
        ended_at=bindparam("at"),
        next_at=None,
        detail=bindparam("to_detail"),
    )
)
DUE = Statement(
    select(
        interrupts,
        requests.c.state.label("asked_state"),
        requests.c.decided_by,
        requests.c.decided_why,
    )
    .select_from(interrupts.join(requests, requests.c.request == interrupts.c.request))
    .where(
        interrupts.c.ended_at.is_(None),
        (interrupts.c.state != literal_column("'pending'"))
        | (requests.c.state != literal_column("'pending'")),
        (interrupts.c.next_at.is_(None)) | (interrupts.c.next_at <= bindparam("now")),
    )
    .order_by(interrupts.c.request)
    .limit(_AT_ONCE)
)
ROW = Statement(select(interrupts).where(_THIS))


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to carry a decision: the row as it was begun, and what is said."""

    row: Row
    number: int
    reply: Reply
    covered: tuple[Covered, ...] = ()
    """What no lock may be on while it is carried."""


def write_interrupt(interrupt: Interrupt) -> str:
    """Return an interrupt as it is kept, to be answered in the shape that it came in."""
    run = interrupt.run
    return json.dumps(
        {
            "run": [run.id, run.thread, run.offered, run.our_run],
            "id": interrupt.id,
            "tool": interrupt.tool,
            "arguments": dict(interrupt.arguments),
            "text": interrupt.text[:_LONGEST_TEXT],
            "choices": list(interrupt.choices),
            "raw": interrupt.raw,
            "also": [[name, dict(one)] for name, one in interrupt.also],
        },
        separators=(",", ":"),
    )


def read_interrupt(text: str) -> Interrupt:
    """Return an interrupt as it was kept."""
    kept = json.loads(text)
    id, thread, offered, our_run = kept["run"]
    return Interrupt(
        RemoteRun(id, "waiting", thread=thread, offered=offered, our_run=our_run),
        kept["id"],
        kept["tool"],
        kept["arguments"],
        kept["text"],
        tuple(kept["choices"]),
        kept["raw"],
        also=tuple((name, one) for name, one in kept["also"]),
    )
