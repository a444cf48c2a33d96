"""Opening a request: everything it will be decided by is snapshotted, with its first timer."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import bindparam, select

from watchkeeper.approvals.alike import alike
from watchkeeper.approvals.asking import Asking, ask
from watchkeeper.approvals.coverage import ANYBODY, Coverage, remember
from watchkeeper.approvals.delegations import linked
from watchkeeper.approvals.model import OPEN, NewRequest
from watchkeeper.approvals.people import STRANGERS, People
from watchkeeper.approvals.rows import IS_OPEN, TIMER, find, groups_of, write_policy
from watchkeeper.approvals.rules import asked_at, excluded_keys, why_short
from watchkeeper.approvals.tables import requests
from watchkeeper.approvals.timers import catch_up
from watchkeeper.approvals.voiding import void
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.digest import canonical
from watchkeeper.oncall.model import Position
from watchkeeper.oncall.rules import next_step
from watchkeeper.store import timers
from watchkeeper.store.statement import Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.quorum import Groups, quorum_words, size

_ADD = Statement(requests.insert())
_FIND_OPEN = Statement(
    select(requests).where(
        requests.c.run == bindparam("run_is"),
        requests.c.tool == bindparam("tool_is"),
        requests.c.digest == bindparam("digest_is"),
        IS_OPEN,
    )
)


def open_request(
    tx: Transaction,
    new: NewRequest,
    coverage: Coverage = ANYBODY,
    people: People = STRANGERS,
) -> str:
    """Open a request with its first timer and return its id.

    Levels that nobody holds now are passed over, as `coverage` says.

    The same action (run, tool and digest) asked again while pending, or approved and not
    yet used, is the same request, unless more people have to agree by now. Raises `Invalid` for
    arguments without canonical form.
    """
    existing = _FIND_OPEN.first(tx, run_is=new.run, tool_is=new.tool, digest_is=new.digest)
    groups = new.groups or ((new.levels[0].role, new.quorum),)
    if existing is not None and catch_up(tx, existing, coverage).state in OPEN:
        later = [level.role for level in new.levels[1:] if level.role]
        short = why_short(groups_of(existing), groups, later)
        if short is None:
            return str(existing.request)
        void(tx, existing.request, short)
    request = tx.new_id("req")
    decide_by = tx.now + new.sla_seconds * MICROSECONDS
    policy = new.escalation
    principals = [name for name in (new.on_behalf_of, *new.excluded) if name]
    excluded = excluded_keys(
        [f"agent/{new.agent}", *principals], linked(tx, principals, people), people
    )
    first = new.levels[0].role
    asking = ask(tx, coverage, policy, 1, before=first, excluded=excluded, groups=groups)
    level = asking.entry.level
    step = next_step(policy, Position(level, tx.now, counts_from=tx.now), decide_by=decide_by)
    told = (new.told or new.asks)[:1000]
    asker = new.proposed_by or f"agent/{new.agent}"
    of_whom = asking.role if size(groups) == 1 else quorum_words(groups)
    columns = _columns(
        tx, new, request, asking, excluded, groups, decide_by=decide_by, next_at=step.due_at
    )
    _ADD.run(tx, **columns)
    timers.schedule(tx, TIMER, request, step.due_at)
    whose = [new.on_behalf_of] if new.on_behalf_of else []
    if whose := [*whose, *tx.vault.names_in(columns["arguments"])]:
        # every entry that names the digest finds it there
        tx.vault.commit(tx, new.digest, whose, new.run)
    tx.record(
        "request.created",
        actor=asker,
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
            **asking.body(1),
            "quorum": quorum_words(groups),
            "decide_by": decide_by,
            "decision": new.decision,
            "epoch": new.epoch,
            "text": f"{asker.partition('/')[2]} asks {of_whom}: {told}{asking.people}",
        },
        whose=new.on_behalf_of,
    )
    for role in json.loads(columns["asked"]):
        remember(tx, coverage, role)
    if asking.lacking:
        asking.raise_alarm(tx, find(tx, request), policy, 1)
    return request


def _columns(
    tx: Transaction,
    new: NewRequest,
    request: str,
    asking: Asking,
    excluded: frozenset[str],
    groups: Groups,
    *,
    decide_by: int,
    next_at: int,
) -> dict[str, Any]:
    words = (new.asks, new.object_kind, new.object_id, new.tool, new.agent)
    return {
        **dict.fromkeys(column.name for column in requests.c),
        "request": request,
        "state": "pending",
        "kind": new.kind,
        "standing": new.standing,
        "budget": new.budget,
        "alike": alike(
            new.agent,
            new.tool if new.kind == "action" else f"{new.kind} {new.tool}",
            new.object_kind,
            new.arguments,
        ),
        "decision": new.decision,
        "agent": new.agent,
        "agent_version": new.agent_version,
        "run": new.run,
        "on_behalf_of": new.on_behalf_of,
        "goal": new.goal,
        "tool": new.tool,
        "digest": new.digest,
        "call_digest": new.call_digest,
        "canonical": new.canonical,
        "covers": None if new.covers is None else new.covers.model_dump_json(),
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
        "quorum": size(groups),
        "groups": json.dumps(groups),
        "deciding": new.deciding.model_dump_json(),
        "approvals": 0,
        "levels": json.dumps([[level.role, level.after_seconds] for level in new.levels]),
        "remind_every_seconds": new.escalation.remind_every_seconds,
        "escalation": write_policy(new.escalation),
        "timeout_outcome": new.timeout_outcome,
        "grant_seconds": new.grant_seconds,
        "excluded": json.dumps(sorted(excluded)),
        "level": asking.entry.level,
        "level_entered_at": tx.now,
        "reminders": 0,
        "round": 1,
        "counts_from": tx.now,
        "role": asking.role,
        "asked": json.dumps(asked_at(asking.entry.level, new.levels, groups)),
        "created_at": tx.now,
        "decide_by": decide_by,
        "next_at": next_at,
        "search": " ".join(word for word in words if word).lower(),
    }
