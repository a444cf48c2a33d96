"""Evidence bundles, written while they are sent."""

from __future__ import annotations

from starlette.responses import Response, StreamingResponse

from watchkeeper.api.table import Call, Operation
from watchkeeper.approvals.rows import find
from watchkeeper.core.errors import Invalid, NotFound
from watchkeeper.decide.evidence.bundle import Bundle
from watchkeeper.decide.evidence.selecting import Asked
from watchkeeper.identity.runs import find_run
from watchkeeper.incidents import service as incidents

_KINDS = ("run", "request", "incident")


async def export(call: Call) -> Response:
    """Answer with a bundle; whoever reads some teams only gets what is of their agents."""
    asked = await _asked(call)
    bundle = Bundle(call.rooms.store, call.rooms.audit, asked, by=call.actor)
    await bundle.open()
    return StreamingResponse(
        bundle.stream(), media_type="application/x-tar", headers={"cache-control": "no-store"}
    )


async def _asked(call: Call) -> Asked:
    named = [kind for kind in _KINDS if call.text(kind)]
    begins, ends = call.whole("begins"), call.whole("ends")
    period = begins is not None and ends is not None and begins < ends
    if len(named) + period != 1 or (begins is None) != (ends is None):
        raise Invalid(
            "one of a run, a request, an incident or a period is exported",
            where="query",
            remedy="name `run`, `request` or `incident`, or give `begins` before `ends`",
        )
    if begins is not None and ends is not None:
        teams = call.who.permissions.teams("audit")
        seen = None if teams is None else frozenset(call.rooms.view.now.seen_in(teams).agents)
        return Asked("period", begins=begins, ends=ends, agents=seen)
    name, read = call.text(named[0]) or "", call.rooms.store.read
    if named[0] == "incident":
        incident = await read(lambda tx: incidents.find(tx, name))
        call.check_team("audit", incident.team)
        return Asked("incident", incident.incident)
    if named[0] == "request":
        request = await read(lambda tx: find(tx, name))
        call.check_agent("audit", request.agent)
        return Asked("request", request.request, run=request.run)
    run = await read(lambda tx: find_run(tx, name))
    if run is None:
        raise NotFound(f"there is no run {name!r:.80}", remedy="see `watchkeeper runs`")
    call.check_agent("audit", run.agent)
    return Asked("run", run.run)


OPERATIONS = (
    Operation(
        "GET",
        "/v1/evidence",
        "audit",
        export,
        "Export the evidence of a run, a request, an incident or a period as a signed bundle.",
        query=(*_KINDS, "begins", "ends"),
        tags=("ledger",),
        by_team=True,
    ),
)
