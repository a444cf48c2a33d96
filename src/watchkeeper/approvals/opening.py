"""Opening a request: everything it will be decided by is snapshotted, with its first timer."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import bindparam, select

from watchkeeper.approvals.model import OPEN, NewRequest
from watchkeeper.approvals.rows import IS_OPEN, TIMER
from watchkeeper.approvals.rules import excluded_keys
from watchkeeper.approvals.tables import requests
from watchkeeper.approvals.timers import catch_up
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.digest import canonical
from watchkeeper.oncall.model import EscalationPolicy, Position
from watchkeeper.oncall.rules import next_step
from watchkeeper.store import timers
from watchkeeper.store.statement import Statement
from watchkeeper.store.transaction import Transaction

_ADD = Statement(requests.insert())
_FIND_OPEN = Statement(
    select(requests).where(
        requests.c.run == bindparam("run_is"),
        requests.c.tool == bindparam("tool_is"),
        requests.c.digest == bindparam("digest_is"),
        IS_OPEN,
    )
)


def open_request(tx: Transaction, new: NewRequest) -> str:
    """Open a request with its first timer and return its id.

    The same action (run, tool and digest) asked again while pending, or approved and not
    yet used, is the same request. Raises `Invalid` for arguments without canonical form.
    """
    existing = _FIND_OPEN.first(tx, run_is=new.run, tool_is=new.tool, digest_is=new.digest)
    if existing is not None and catch_up(tx, existing).state in OPEN:
        return str(existing.request)
    request = tx.new_id("req")
    decide_by = tx.now + new.sla_seconds * MICROSECONDS
    policy = EscalationPolicy(new.levels, new.remind_every_seconds)
    first = next_step(policy, Position(1, tx.now), created_at=tx.now, decide_by=decide_by)
    role = new.levels[0].role
    told = (new.told or new.asks)[:1000]
    _ADD.run(tx, **_columns(tx, new, request, decide_by=decide_by, next_at=first.due_at))
    timers.schedule(tx, TIMER, request, first.due_at)
    tx.record(
        "request.created",
        actor=f"agent/{new.agent}",
        subject=f"request/{request}",
        agent=new.agent,
        run=new.run,
        request=request,
        body={
            "tool": new.tool,
            "digest": new.digest,
            "asks": told,
            "risk": new.risk,
            "rule": new.rule,
            "role": role,
            "quorum": new.quorum,
            "decide_by": decide_by,
            "decision": new.decision,
            "epoch": new.epoch,
            "text": f"{new.agent} asks {role}: {told}",
        },
    )
    return request


def _columns(
    tx: Transaction, new: NewRequest, request: str, *, decide_by: int, next_at: int
) -> dict[str, Any]:
    words = (new.asks, new.object_kind, new.object_id, new.tool, new.agent)
    role = new.levels[0].role
    return {
        **dict.fromkeys(column.name for column in requests.c),
        "request": request,
        "state": "pending",
        "kind": "action",
        "decision": new.decision,
        "agent": new.agent,
        "agent_version": new.agent_version,
        "run": new.run,
        "on_behalf_of": new.on_behalf_of,
        "goal": new.goal,
        "tool": new.tool,
        "digest": new.digest,
        "canonical": new.canonical,
        "arguments": canonical(dict(new.arguments)).decode(),
        "asks": new.asks,
        "risk": new.risk,
        "object_kind": new.object_kind,
        "object_id": new.object_id,
        "amount_micros": new.amount_micros,
        "changes": json.dumps([change.model_dump() for change in new.changes]),
        "blast_radius": new.blast_radius,
        "blast_source": new.blast_source,
        "rollback": new.rollback,
        "reversible": None if new.reversible is None else int(new.reversible),
        "rule": new.rule,
        "rule_text": new.rule_text,
        "explanation": new.explanation,
        "epoch": new.epoch,
        "quorum": new.quorum,
        "approvals": 0,
        "levels": json.dumps([[level.role, level.after_seconds] for level in new.levels]),
        "remind_every_seconds": new.remind_every_seconds,
        "timeout_outcome": new.timeout_outcome,
        "grant_seconds": new.grant_seconds,
        "excluded": json.dumps(sorted(excluded_keys(new.agent, new.on_behalf_of, new.excluded))),
        "level": 1,
        "level_entered_at": tx.now,
        "reminders": 0,
        "role": role,
        "asked": json.dumps([role]),
        "created_at": tx.now,
        "decide_by": decide_by,
        "next_at": next_at,
        "search": " ".join(word for word in words if word).lower(),
    }
