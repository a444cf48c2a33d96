"""What an agent's workload asks: to enrol, to open and close runs, to report outcomes."""

from __future__ import annotations

from watchkeeper.api.runs import show_run
from watchkeeper.api.table import Call, Operation
from watchkeeper.core.errors import Invalid, Unauthenticated
from watchkeeper.decide.runs.envelope import Under
from watchkeeper.identity import agent_keys, enrolment
from watchkeeper.identity.issuers import load_library
from watchkeeper.identity.model import IssuedRun, NewRun
from watchkeeper.wire.agents import (
    ChildBudget,
    CloseRun,
    Credential,
    OpenRun,
    Redeem,
    RunOpened,
    RunRow,
)
from watchkeeper.wire.budgets import Measure
from watchkeeper.wire.decisions import Outcome


async def redeem(call: Call) -> Credential:
    """Exchange a one-time secret for the agent's credential, or register the agent's key."""
    body: Redeem = call.body
    token_url = f"{call.rooms.http}/oauth/token"
    if body.jwk is not None:
        await load_library()
        thumbprint, key = agent_keys.check_key(body.jwk)
        agent, expires_at = await call.rooms.store.write(
            lambda tx: agent_keys.register(tx, body.secret, thumbprint, key)
        )
        return Credential(agent=agent, expires_at=expires_at, key=thumbprint, token_url=token_url)
    issued = await call.rooms.store.write(lambda tx: enrolment.redeem_enrolment(tx, body.secret))
    return Credential(
        agent=issued.agent,
        credential=issued.secret,
        expires_at=issued.expires_at,
        token_url=token_url,
    )


async def open_run(call: Call) -> RunOpened:
    """Open a run for the agent whose credential is the bearer."""
    body: OpenRun = call.body
    thing = body.business_object
    new = NewRun(
        goal=body.goal,
        on_behalf_of=body.on_behalf_of,
        object_kind=thing.kind if thing else None,
        object_id=thing.id if thing else None,
        environment=body.environment,
        caller=call.caller,
    )
    under = Under(body.parent, wanted_of(body.budget)) if body.parent is not None else None
    if under is None and body.budget is not None:
        raise Invalid("a budget is lent by a parent: name it", where="body: budget")
    return run_opened(call, *await call.rooms.envelopes.open(call.token, new, under))


def wanted_of(budget: ChildBudget | None) -> dict[Measure, int]:
    """Return what is wanted of a parent's budget, by measure."""
    if budget is None:
        return {}
    wanted: dict[Measure, int | None] = {
        "tool_calls": budget.tool_calls,
        "input_tokens": budget.input_tokens,
        "output_tokens": budget.output_tokens,
        "spend": budget.spend_micros,
    }
    return {measure: amount for measure, amount in wanted.items() if amount is not None}


async def renew_token(call: Call) -> RunOpened:
    """Issue a fresh token for an open run of the agent whose credential is the bearer."""
    return run_opened(call, *await call.rooms.envelopes.renew(call.token, call.path("run")))


async def close_run(call: Call) -> RunRow:
    """Close a run; the bearer is its token or its agent's credential."""
    body: CloseRun = call.body
    run = call.path("run")
    await call.rooms.envelopes.close(call.token, run, body.outcome, body.summary)
    return await show_run(call, run)


async def report_outcome(call: Call) -> None:
    """Record how a permitted action ended."""
    body: Outcome = call.body
    if not call.token.startswith("wkr_"):
        raise Unauthenticated("report with the run's token", rule="identity/token")
    await call.rooms.decider.settle(call.path("decision"), body, token=call.token)


def run_opened(call: Call, agent: str, issued: IssuedRun) -> RunOpened:
    """Return a run as whoever opened it is told of it."""
    http = call.rooms.http
    return RunOpened(
        run=issued.run,
        agent=agent,
        token=issued.token,
        expires_at=issued.expires_at,
        mcp_url=f"{http}/mcp",
        model_base_url=f"{http}/openai/v1",
        anthropic_base_url=f"{http}/anthropic",
    )


OPERATIONS = (
    Operation(
        "POST",
        "/v1/enrolments/redeem",
        "anyone",
        redeem,
        "Exchange a one-time enrolment secret for the agent's credential, or register its key.",
        answers=Credential,
        takes=Redeem,
        tags=("agents",),
    ),
    Operation(
        "POST",
        "/v1/runs",
        "agent",
        open_run,
        "Open a run (bearer: the agent's credential).",
        answers=RunOpened,
        takes=OpenRun,
        tags=("agents",),
    ),
    Operation(
        "POST",
        "/v1/runs/{run}/token",
        "agent",
        renew_token,
        "Issue a fresh token for an open run (bearer: the agent's credential).",
        answers=RunOpened,
        tags=("agents",),
    ),
    Operation(
        "POST",
        "/v1/runs/{run}/close",
        "agent",
        close_run,
        "Close a run with its outcome (bearer: its token or the agent's credential).",
        answers=RunRow,
        takes=CloseRun,
        tags=("agents",),
    ),
    Operation(
        "POST",
        "/v1/decisions/{decision}/outcome",
        "agent",
        report_outcome,
        "Report how a permitted action ended (bearer: the run's token).",
        takes=Outcome,
        tags=("agents",),
    ),
)
