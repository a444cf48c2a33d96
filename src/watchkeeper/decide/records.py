"""Writing decisions and their outcomes; each with its event."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Literal

from sqlalchemy import Text, bindparam, func, literal, select, update

from watchkeeper.core.digest import Written, canonical
from watchkeeper.core.errors import NotFound
from watchkeeper.core.tracing import read_traceparent
from watchkeeper.decide.activity import count_decision, count_spend
from watchkeeper.decide.contents import Contents
from watchkeeper.decide.model import RISKS, Action, Progress, Ruling
from watchkeeper.decide.tables import (
    decisions,
    is_permitted,
)
from watchkeeper.identity.model import RunFacts
from watchkeeper.identity.tables import replay_runs
from watchkeeper.store.marks import PERSONAL
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.tools.inspection.redaction import redact_text
from watchkeeper.tools.inspection.rules import SECRETS, listed, unrecorded
from watchkeeper.wire.data import RedactionLevel
from watchkeeper.wire.decisions import Outcome, Performer, Risk
from watchkeeper.wire.models import Routed

NOBODY_REPORTED = "nobody reported how it ended"
"""The error of an outcome that was only presumed: a late report may still replace it."""

_ADD = Statement(decisions.insert())
_FIND = Statement(select(decisions).where(decisions.c.decision == bindparam("decision_is")))
_FIND_SHORT = Statement(
    select(
        *(
            decisions.c[name]
            for name in (
                "decision", "at", "agent", "run", "version", "kind", "name", "call_digest",
                "performer", "verdict", "request", "idempotency_key", "route_cause",
                "settled_at", "error",
            )
        )
    ).where(decisions.c.decision == bindparam("decision_is"))
)  # fmt: skip
_BY_KEY = Statement(
    select(decisions).where(
        decisions.c.run == bindparam("run_is"),
        decisions.c.idempotency_key == bindparam("key_is"),
        is_permitted,
    )
)
_OF_A_REPLAY = select(replay_runs.c.run).where(replay_runs.c.run == decisions.c.run).exists()
_NEWEST = {
    # one short look into an index for each: grouping reads every decision there is
    by: Statement(
        select(decisions)
        .where(decisions.c[by] == bindparam("name_is"), *unless)
        .order_by(decisions.c.decision.desc())
        .limit(1)
    )
    for by, unless in (("agent", [~_OF_A_REPLAY]), ("run", []))
}
_SETTLE = Statement(
    update(decisions)
    .where(
        decisions.c.decision == bindparam("decision_is"),
        decisions.c.settled_at.is_(None) | (decisions.c.error == literal(NOBODY_REPORTED)),
    )
    .values(
        outcome=bindparam("status"),
        settled_at=bindparam("at_to"),
        input_tokens=bindparam("tokens_in"),
        output_tokens=bindparam("tokens_out"),
        cost_micros=bindparam("cost"),
        result_digest=bindparam("result"),
        error=bindparam("problem"),
        classes_out=bindparam("found"),
        classes_redacted=bindparam("kept_back"),
        model=func.coalesce(bindparam("model_is", type_=Text), decisions.c.model),
        route_reason=func.coalesce(bindparam("routed_by", type_=Text), decisions.c.route_reason),
        provider=bindparam("provider_is"),
        provider_model=bindparam("provider_model_is"),
        cached=bindparam("from_cache"),
        cache_read_tokens=bindparam("cache_read"),
        cache_write_tokens=bindparam("cache_write"),
        retries=bindparam("sent_again"),
        first_token_ms=bindparam("first_token"),
    )
)
_NO_CHAT = frozenset({"embeddings", "count_tokens"})
_EVENT = {"permit": "decision.permitted", "hold": "decision.held", "deny": "decision.denied"}


def record_decision(
    tx: Transaction,
    decision: str,
    run: RunFacts,
    action: Action,
    ruling: Ruling,
    *,
    epoch: int,
    idempotency_key: str | None,
    performer: Performer,
    progress: Progress,
    level: RedactionLevel,
    policies: str,
    risk: Risk = "low",
    team: str = "",
    project: str | None = None,
    traceparent: str | None = None,
    source: str | None = None,
) -> None:
    """Keep a decision and its event, with digests of the action and of its policy sets.

    `source`: what a tool retrieves from.
    """
    contents = action.contents
    staged = [asdict(one) for one in progress.would]
    reason = ruling.reason
    if ruling.verdict != "permit":
        reason = redact_text(reason, unrecorded(level))
    question = progress.question
    person, about = run.on_behalf_of, progress.object_id or run.object_id or ""
    if level == "strict":
        person = redact_text(person, unrecorded(level)) if person else None
        about = redact_text(about, unrecorded(level))
        if question is not None:
            question = replace(question, object_id=about)
    routed = progress.routed
    _ADD.run(
        tx,
        decision=decision,
        at=tx.now,
        agent=run.agent,
        run=run.run,
        version=run.version,
        kind=action.kind,
        name=action.name,
        arguments=contents.kept(level),
        digest=progress.digest,
        performer=performer,
        call_digest=action.call_digest,
        question=question.text() if question else None,
        model=progress.model,
        would=canonical(staged).decode() if staged else None,
        classes_in=listed(contents.classes),
        classes_out=None,
        classes_redacted=None,
        verdict=ruling.verdict,
        rule=ruling.rule,
        reason=reason,
        request=ruling.request,
        idempotency_key=idempotency_key,
        epoch=epoch,
        outcome=None,
        settled_at=None,
        input_tokens=0,
        output_tokens=0,
        cost_micros=0,
        result_digest=None,
        error=None,
        provider=None,
        provider_model=None,
        route_cause=routed.cause if routed else None,
        route_reason=routed.reason if routed else None,
        cached=None,
        team=team,
        project=project,
        person=person,
        object=f"{progress.object_kind or run.object_kind or 'object'}/{about}" if about else None,
        value_micros=progress.amount_micros if action.kind == "tool" else 0,
        cache_read_tokens=None,
        cache_write_tokens=None,
        retries=None,
        first_token_ms=None,
        route_seen=canonical(progress.looked).decode() if progress.looked else None,
        risk=RISKS.index(risk) if action.kind == "tool" else None,
    )
    marks = tx.vault.marks(tx, run.run)
    whose = personal_of(tx, run, contents)
    body: dict[str, object] = {
        "decision": decision,
        "kind": action.kind,
        "name": action.name,
        # of what somebody could guess, nothing may tell that the guess is right
        "digest": marks.of(progress.digest, whose, fresh=ruling.request is None)
        if whose
        else progress.digest,
        "rule": ruling.rule,
        "reason": reason,
        "version": run.version,
        "epoch": epoch,
        "policies": policies,
    }
    if traceparent is not None and (caller := read_traceparent(traceparent)) is not None:
        body["traceparent"] = caller.text()
    if action.kind == "model" and action.endpoint in _NO_CHAT:
        body["endpoint"] = action.endpoint
    if source is not None:
        body["source"] = source
    if contents.classes:
        body["classes_in"] = listed(contents.classes)
    if progress.hosted:
        body["hosted"] = list(progress.hosted)
    if progress.obligations and ruling.verdict == "permit":
        body["obligations"] = [
            duty.model_dump(mode="json", exclude_defaults=True) for duty in progress.obligations
        ]
    if routed is not None and ruling.verdict == "permit":
        body["routed"] = _written(routed)
    if staged:
        body["would"] = staged
    if run.on_behalf_of:
        body["on_behalf_of"] = marks.of(run.on_behalf_of, (run.on_behalf_of,))
    if ruling.grant is not None:
        body["approved_by"] = list(ruling.grant.by)
    if ruling.standing is not None:
        body["approved_by"] = list(ruling.standing.by)
        body["standing"] = ruling.standing.standing
    tx.record(
        _EVENT[ruling.verdict],
        actor=f"agent/{run.agent}",
        subject=f"decision/{decision}",
        agent=run.agent,
        run=run.run,
        request=ruling.request,
        body={**body, PERSONAL: marks.made} if marks.made else body,
        whose=run.on_behalf_of,
        # what the plane says by itself of a call that may run is of nobody
        screened=ruling.verdict == "permit" and not staged,
    )
    count_decision(tx, run.agent, ruling.verdict)


def personal_of(tx: Transaction, run: RunFacts, contents: Contents) -> list[str]:
    """Return who an action is about, as far as that can be told: mostly nobody."""
    whose = [run.on_behalf_of] if run.on_behalf_of else []
    if contents.classes - SECRETS:
        # what is personal by its place alone is of whoever the run is about
        whose += tx.vault.names_in(contents.text) or [run.run]
    return whose


_routes: dict[int, tuple[Routed, Written]] = {}
"""Where calls went, as events tell it, by the object's identity: most go where others went."""
_MOST_ROUTES = 1024


def _written(routed: Routed) -> Written:
    found = _routes.get(id(routed))
    if found is None or found[0] is not routed:
        if len(_routes) >= _MOST_ROUTES:
            _routes.clear()
        text = canonical(routed.model_dump(mode="json", exclude_defaults=True), 1)
        found = _routes[id(routed)] = (routed, Written(text))
    return found[1]


def record_outcome(tx: Transaction, row: Row, outcome: Outcome) -> bool:
    """Keep how a permitted action ended, once; tell whether this was the first word on it."""
    usage = outcome.usage
    first = _SETTLE.run(
        tx,
        decision_is=row.decision,
        status=outcome.status,
        at_to=tx.now,
        tokens_in=usage.input_tokens,
        tokens_out=usage.output_tokens,
        cost=usage.cost_micros,
        result=outcome.result_digest,
        problem=outcome.error,
        found=listed(outcome.classes),
        kept_back=listed(outcome.redacted),
        model_is=outcome.model,
        routed_by=outcome.route_reason,
        provider_is=outcome.provider,
        provider_model_is=outcome.provider_model,
        from_cache=int(outcome.cached),
        cache_read=usage.cache_read_tokens,
        cache_write=usage.cache_write_tokens,
        sent_again=usage.retries,
        first_token=outcome.first_token_ms,
    )
    if first != 1:
        return False
    marks = tx.vault.marks(tx, row.run)
    result = outcome.result_digest
    if result is not None and set(outcome.classes) - SECRETS:
        result = marks.of(result, (row.run,), fresh=True)
    body: dict[str, object] = {
        "decision": row.decision,
        "kind": row.kind,
        "name": row.name,
        "version": row.version,
        "status": outcome.status,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cost_micros": usage.cost_micros,
        "result_digest": result,
        "error": outcome.error,
    }
    if outcome.classes:
        body["classes_out"] = listed(outcome.classes)
    if outcome.redacted:
        body["classes_redacted"] = listed(outcome.redacted)
    for name in ("model", "provider", "provider_model", "first_token_ms"):
        if (said := getattr(outcome, name)) is not None:
            body[name] = said
    for name in ("cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "retries"):
        if amount := getattr(usage, name):
            body[name] = amount
    if outcome.response is not None:
        body["response"] = {name: said for name, said in vars(outcome.response).items() if said}
    if outcome.cached:
        body["cached"] = True
    if outcome.route_reason is not None:
        tx.record(
            "route.reduced" if row.route_cause == "ensemble" else "route.escalated",
            actor=f"agent/{row.agent}",
            subject=f"decision/{row.decision}",
            agent=row.agent,
            run=row.run,
            request=row.request,
            body={
                "decision": row.decision,
                "name": row.name,
                "model": outcome.model,
                "reason": outcome.route_reason,
            },
        )
    tx.record(
        "outcome.recorded",
        actor=f"agent/{row.agent}",
        subject=f"decision/{row.decision}",
        agent=row.agent,
        run=row.run,
        request=row.request,
        body={**body, PERSONAL: marks.made} if marks.made else body,
        screened=outcome.error is None,
    )
    count_spend(tx, row.agent, usage.cost_micros)
    return True


def find_decision(tx: Transaction, decision: str) -> Row:
    """Return a decision's row; raise `NotFound` if there is none."""
    return _found(_FIND, tx, decision)


def find_to_settle(tx: Transaction, decision: str) -> Row:
    """Return as much of a decision's row as settling needs; raise `NotFound` if there is none."""
    return _found(_FIND_SHORT, tx, decision)


def _found(statement: Statement, tx: Transaction, decision: str) -> Row:
    row = statement.first(tx, decision_is=decision)
    if row is None:
        raise NotFound(
            f"there is no decision {decision!r:.80}", remedy="see `watchkeeper decisions`"
        )
    return row


def find_by_key(tx: Transaction, run: str, key: str) -> Row | None:
    """Return the permitted decision of a run that used an idempotency key."""
    return _BY_KEY.first(tx, run_is=run, key_is=key)


def newest_decisions(
    tx: Transaction, by: Literal["agent", "run"], names: Iterable[str]
) -> dict[str, Row]:
    """Return the newest decision of each named agent or run that has one.

    What somebody replays is no sign that its agent does anything.
    """
    newest = ((name, _NEWEST[by].first(tx, name_is=name)) for name in names)
    return {name: row for name, row in newest if row is not None}
