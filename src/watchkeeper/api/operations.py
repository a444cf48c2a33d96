"""Every route of the API in one list."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from watchkeeper.api import (
    agents,
    asking,
    audit,
    authzen,
    breakers,
    budgets,
    channels,
    delegations,
    deliveries,
    drills,
    erasing,
    events,
    evidence,
    handling,
    handovers,
    health,
    held,
    holding,
    humanlayer,
    identity,
    incidents,
    locks,
    login,
    models,
    oauth,
    oauth_metadata,
    oncall,
    persons,
    plane,
    policy,
    quality,
    questions,
    registry,
    replays,
    reports,
    requests,
    runs,
    runtimes,
    secrets,
    signers,
    spending,
    standing,
    telemetry,
    tools,
    traces,
    workloads,
)
from watchkeeper.api.openapi import describe
from watchkeeper.api.rooms import Rooms
from watchkeeper.api.table import Call, Operation, route
from watchkeeper.wire.decisions import Answer, Ask


async def _unreachable(call: Call) -> Response:
    """Stand for a route that is served before this table is asked."""
    return Response(status_code=404)


async def openapi(call: Call) -> Response:
    """Describe the API."""
    return JSONResponse(describe(OPERATIONS, call.rooms.version))


DECIDE = Operation(
    "POST",
    "/v1/decide",
    "agent",
    _unreachable,
    "Ask for one action: permit, hold or deny (bearer: the run's token).",
    answers=Answer,
    takes=Ask,
    query=("wait_seconds",),
    tags=("agents",),
)
"""Served as plain ASGI (`api.decide`); listed here so that it is described."""

OPERATIONS: tuple[Operation, ...] = (
    *plane.OPERATIONS,
    *agents.OPERATIONS,
    *runs.OPERATIONS,
    *replays.OPERATIONS,
    *traces.OPERATIONS,
    *telemetry.OPERATIONS,
    *asking.OPERATIONS,
    *questions.OPERATIONS,
    *health.OPERATIONS,
    *quality.OPERATIONS,
    *standing.OPERATIONS,
    *requests.OPERATIONS,
    *delegations.OPERATIONS,
    *oncall.OPERATIONS,
    *handling.OPERATIONS,
    *signers.OPERATIONS,
    *handovers.OPERATIONS,
    *held.OPERATIONS,
    *humanlayer.OPERATIONS,
    *budgets.OPERATIONS,
    *breakers.OPERATIONS,
    *spending.OPERATIONS,
    *deliveries.OPERATIONS,
    *models.OPERATIONS,
    *locks.OPERATIONS,
    *incidents.OPERATIONS,
    *drills.OPERATIONS,
    *runtimes.OPERATIONS,
    *events.OPERATIONS,
    *audit.OPERATIONS,
    *erasing.OPERATIONS,
    *holding.OPERATIONS,
    *evidence.OPERATIONS,
    *reports.OPERATIONS,
    *registry.OPERATIONS,
    *policy.OPERATIONS,
    *authzen.OPERATIONS,
    *tools.OPERATIONS,
    *persons.OPERATIONS,
    *secrets.OPERATIONS,
    *channels.OPERATIONS,
    *login.OPERATIONS,
    *workloads.OPERATIONS,
    *identity.OPERATIONS,
    *oauth.OPERATIONS,
    *oauth_metadata.OPERATIONS,
    DECIDE,
    Operation("GET", "/v1/openapi.json", "anyone", openapi, "This description.", tags=("plane",)),
)


def routes(rooms: Rooms) -> list[Route]:
    """Return the Starlette routes over the plane's rooms."""
    return [route(operation, rooms) for operation in OPERATIONS if operation is not DECIDE]
