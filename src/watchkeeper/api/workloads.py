"""What an agent's workload asks: to enrol, to open and close runs, to report outcomes."""

from __future__ import annotations

from watchkeeper.api.runs import show_run
from watchkeeper.api.table import Call, Operation
from watchkeeper.core.errors import Unauthenticated
from watchkeeper.identity import enrolment
from watchkeeper.identity.model import IssuedRun, NewRun
from watchkeeper.wire.agents import CloseRun, Credential, OpenRun, Redeem, RunOpened, RunRow
from watchkeeper.wire.decisions import Outcome


async def redeem(call: Call) -> Credential:
    """Exchange a one-time enrolment secret for the agent's credential."""
    body: Redeem = call.body
    issued = await call.rooms.store.write(lambda tx: enrolment.redeem_enrolment(tx, body.secret))
    return Credential(agent=issued.agent, credential=issued.secret, expires_at=issued.expires_at)


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
    )
    return _opened(call, *await call.rooms.envelopes.open(call.token, new))


async def renew_token(call: Call) -> RunOpened:
    """Issue a fresh token for an open run of the agent whose credential is the bearer."""
    return _opened(call, *await call.rooms.envelopes.renew(call.token, call.path("run")))


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


def _opened(call: Call, agent: str, issued: IssuedRun) -> RunOpened:
    http = call.rooms.http
    return RunOpened(
        run=issued.run,
        agent=agent,
        token=issued.token,
        expires_at=issued.expires_at,
        mcp_url=f"{http}/mcp",
        model_base_url=f"{http}/openai/v1",
    )


OPERATIONS = (
    Operation(
        "POST",
        "/v1/enrolments/redeem",
        "anyone",
        redeem,
        "Exchange a one-time enrolment secret for the agent's credential.",
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
