"""Evidence bundles, written while they are sent."""

from __future__ import annotations

from starlette.responses import Response, StreamingResponse

from watchkeeper.api.table import Call, Handler, Operation
from watchkeeper.approvals.rows import find
from watchkeeper.core.errors import Invalid
from watchkeeper.decide.evidence.bundle import Bundle
from watchkeeper.decide.evidence.selecting import Asked
from watchkeeper.identity.recorded import no_run
from watchkeeper.identity.runs import find_run
from watchkeeper.incidents import service as incidents


async def of_run(call: Call) -> Response:
    """Answer with the evidence of a run."""
    name = call.path("run")
    run = await call.rooms.store.read(lambda tx: find_run(tx, name))
    if run is None:
        raise no_run(name)
    call.check_agent("audit", run.agent)
    return await _export(call, Asked("run", run.run))


async def of_request(call: Call) -> Response:
    """Answer with the evidence of a request."""
    request = await call.rooms.store.read(lambda tx: find(tx, call.path("request")))
    call.check_agent("audit", request.agent)
    return await _export(call, Asked("request", request.request, run=request.run))


async def of_incident(call: Call) -> Response:
    """Answer with the evidence of an incident."""
    name = call.path("incident")
    incident = await call.rooms.store.read(lambda tx: incidents.find(tx, name))
    call.check_team("audit", incident.team)
    return await _export(call, Asked("incident", incident.incident))


async def of_period(call: Call) -> Response:
    """Answer with the evidence of a period; of some teams' agents for who audits only those."""
    begins, ends = call.whole("begins"), call.whole("ends")
    if begins is None or ends is None or begins >= ends:
        raise Invalid("a period begins before it ends", where="query: begins, ends")
    teams = call.who.permissions.teams("audit")
    seen = None if teams is None else frozenset(call.rooms.view.now.seen_in(teams).agents)
    return await _export(call, Asked("period", begins=begins, ends=ends, agents=seen))


async def _export(call: Call, asked: Asked) -> Response:
    bundle = Bundle(call.rooms.store, call.rooms.audit, asked, by=call.actor)
    await bundle.open()
    return StreamingResponse(
        bundle.stream(), media_type="application/x-tar", headers={"cache-control": "no-store"}
    )


def _operation(path: str, handle: Handler, what: str, *query: str) -> Operation:
    return Operation(
        "GET",
        f"/v1/evidence/{path}",
        "audit",
        handle,
        f"Export the evidence of {what} as a signed bundle.",
        query=query,
        tags=("ledger",),
        by_team=True,
    )


OPERATIONS = (
    _operation("runs/{run}", of_run, "a run"),
    _operation("requests/{request}", of_request, "a request, and of its run until it ended"),
    _operation("incidents/{incident}", of_incident, "an incident"),
    _operation("period", of_period, "a period", "begins", "ends"),
)
