"""Policies: sets with stages and versions, explanations, replays."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from watchkeeper.api.runs import agent_of
from watchkeeper.api.table import Call, Operation
from watchkeeper.core.errors import Invalid, NotFound
from watchkeeper.decide.explaining import explain as explain_action
from watchkeeper.decide.model import Action
from watchkeeper.decide.policies import policy_sets
from watchkeeper.decide.records import find_decision
from watchkeeper.decide.replay.recorded import read_recorded
from watchkeeper.decide.replay.rehearsal import run_at_rest
from watchkeeper.identity.model import RunFacts
from watchkeeper.identity.recorded import recorded_run
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import DecisionRow, DutyKind
from watchkeeper.wire.pages import Page
from watchkeeper.wire.policy import (
    Explain,
    ExplainResult,
    PolicySetDetail,
    PolicySetRow,
    PolicyVersionRow,
    ReplayResult,
    Rollback,
    SetStage,
    StartReplay,
)

LONGEST_WAIT_SECONDS = 30
_DUTIES: tuple[DutyKind, ...] = get_args(DutyKind)
"""An explanation supposes a performer that can carry out every obligation, as gateways can."""


async def policies(call: Call) -> Page[PolicySetRow]:
    """List policy sets."""
    head, catalogue = call.rooms.store.head, call.rooms.view.now
    # a day of decisions is looked along
    rows = await call.rooms.store.scan(lambda tx: policy_sets.list_sets(tx, catalogue))
    return Page[PolicySetRow](rows=tuple(rows), total=len(rows), sequence=head)


async def policy(call: Call) -> PolicySetDetail:
    """Show one policy set."""
    name, catalogue = call.path("policy"), call.rooms.view.now
    return await call.rooms.store.scan(lambda tx: policy_sets.read_set(tx, catalogue, name))


async def versions(call: Call) -> Page[PolicyVersionRow]:
    """List the versions of a policy set, newest first."""
    name, after, limit = call.path("policy"), call.text("after"), call.limit()
    head = call.rooms.store.head
    rows, following = await call.rooms.store.read(
        lambda tx: policy_sets.list_versions(tx, name, after=after, limit=limit)
    )
    return Page[PolicyVersionRow](rows=tuple(rows), next=following, sequence=head)


async def decisions(call: Call) -> Page[DecisionRow]:
    """List what the policies of a set denied or held, newest first."""
    name, after, limit = call.path("policy"), call.text("after"), call.limit()
    head, catalogue, agents = call.rooms.store.head, call.rooms.view.now, call.agents_seen()
    rows, following = await call.rooms.store.scan(
        lambda tx: policy_sets.list_set_decisions(
            tx, catalogue, name, agents=agents, after=after, limit=limit
        )
    )
    return Page[DecisionRow](rows=tuple(rows), next=following, sequence=head)


async def stage(call: Call) -> PolicySetDetail:
    """Move a policy set to another stage."""
    body: SetStage = call.body
    await call.rooms.applying.stage(
        call.path("policy"),
        body.stage,
        version=body.version,
        seen=body.seen,
        actor=call.actor,
        reason=body.reason,
    )
    return await policy(call)


async def roll_back(call: Call) -> PolicySetDetail:
    """Put an earlier version in force again."""
    body: Rollback = call.body
    name = call.path("policy")
    await call.rooms.applying.roll_back(
        "policy", name, to=body.to, seen=body.version, actor=call.actor, reason=body.reason
    )
    return await policy(call)


async def explain(call: Call) -> ExplainResult:
    """Say why an action is decided as it is."""
    body: Explain = call.body
    if (body.decision is None) == (body.agent is None or body.name is None):
        raise Invalid("give `decision`, or `agent` with `name`", where="body")
    catalogue = call.rooms.view.now

    def query(tx: Transaction) -> ExplainResult:
        if body.decision is not None:
            return _explain_recorded(call, tx, body.decision)
        call.check_agent("read", str(body.agent))
        action = Action(body.kind, str(body.name), body.arguments, body.estimate, fulfils=_DUTIES)
        return explain_action(tx, catalogue, _run(call, tx, body), action)

    return await call.rooms.store.scan(query)


def _run(call: Call, tx: Transaction, body: Explain) -> RunFacts:
    """Return the run that is named, or one of the agent that has just begun."""
    agent = str(body.agent)
    if body.run is not None:
        found = recorded_run(tx, body.run)
        if found is None or found.agent != agent:
            raise NotFound(f"agent {agent} has no run {body.run!r:.80}")
        run = found
    else:
        run = run_at_rest(call.rooms.view.now, agent)
    return replace(
        run,
        environment=body.environment or run.environment,
        on_behalf_of=body.on_behalf_of or run.on_behalf_of,
    )


def _explain_recorded(call: Call, tx: Transaction, name: str) -> ExplainResult:
    row = find_decision(tx, name)
    call.check_agent("read", row.agent)
    was = read_recorded(row, recorded_run(tx, row.run))
    if was.action is None or was.facts is None:
        raise NotFound(f"of decision {name} too little is on record to explain it")
    notes = [
        "explained under what is in force now, for a performer that can carry out any obligation"
    ]
    if not was.intact:
        notes.append("personal data was taken out of its arguments: checks of them may differ")
    found = explain_action(tx, call.rooms.view.now, was.facts, was.action)
    return found.model_copy(
        update={
            "recorded": was.verdict,
            "recorded_rule": was.rule,
            "recorded_at": was.at,
            "notes": (*found.notes, *notes),
        }
    )


async def start_replay(call: Call) -> ReplayResult:
    """Begin a replay."""
    body: StartReplay = call.body
    if body.agent is not None:
        call.check_agent("read", body.agent)
    if (run := body.run) is not None:
        call.check_agent("read", await agent_of(call, run))
    return await call.rooms.replays.start(body, by=call.actor, agents=call.agents_seen())


async def replay(call: Call) -> ReplayResult:
    """Show how far a replay is; whoever began it may look."""
    wait = min(call.whole("wait_seconds") or 0, LONGEST_WAIT_SECONDS)
    found = await call.rooms.replays.read(call.path("replay"), wait_seconds=wait)
    if found.by != call.actor and call.agents_seen() is not None:
        raise NotFound(f"there is no replay {found.replay!r} of yours")
    return found


OPERATIONS = (
    Operation(
        "GET",
        "/v1/policies",
        "read",
        policies,
        "List policy sets with stage, version and what they did in a day.",
        answers=Page[PolicySetRow],
        tags=("policies",),
    ),
    Operation(
        "GET",
        "/v1/policies/{policy}",
        "read",
        policy,
        "Show a policy set with its text and policies.",
        answers=PolicySetDetail,
        tags=("policies",),
    ),
    Operation(
        "GET",
        "/v1/policies/{policy}/versions",
        "read",
        versions,
        "List the versions of a policy set, newest first.",
        answers=Page[PolicyVersionRow],
        query=("after", "limit"),
        tags=("policies",),
    ),
    Operation(
        "GET",
        "/v1/policies/{policy}/decisions",
        "read",
        decisions,
        "List what the policies of a set denied or held, newest first.",
        answers=Page[DecisionRow],
        query=("after", "limit"),
        tags=("policies",),
    ),
    Operation(
        "POST",
        "/v1/policies/{policy}/stage",
        "policy-activate",
        stage,
        "Move a policy set to observe, warn or enforce.",
        answers=PolicySetDetail,
        takes=SetStage,
        tags=("policies",),
    ),
    Operation(
        "POST",
        "/v1/policies/{policy}/rollback",
        "policy-activate",
        roll_back,
        "Put an earlier version of a policy set in force again.",
        answers=PolicySetDetail,
        takes=Rollback,
        tags=("policies",),
    ),
    Operation(
        "POST",
        "/v1/policy/explain",
        "read",
        explain,
        "Say why an action is decided as it is; nothing is recorded or reserved.",
        answers=ExplainResult,
        takes=Explain,
        looks_only=True,
        tags=("policies",),
    ),
    Operation(
        "POST",
        "/v1/policy/replays",
        "read",
        start_replay,
        "Begin to decide recorded decisions again under changed policies and contracts.",
        answers=ReplayResult,
        takes=StartReplay,
        status=202,
        looks_only=True,
        tags=("policies",),
    ),
    Operation(
        "GET",
        "/v1/policy/replays/{replay}",
        "read",
        replay,
        "Show how far a replay is and what it found so far.",
        answers=ReplayResult,
        query=("wait_seconds",),
        tags=("policies",),
    ),
)
