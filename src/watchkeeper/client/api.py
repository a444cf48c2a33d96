"""The typed client of the operator API: one method for each route."""

from __future__ import annotations

from typing import Any

from watchkeeper.client.asking import AskingCalls
from watchkeeper.client.audits import AuditCalls
from watchkeeper.client.breakers import BreakerCalls
from watchkeeper.client.budgets import BudgetCalls
from watchkeeper.client.channels import ChannelCalls
from watchkeeper.client.delegations import DelegationCalls
from watchkeeper.client.deliveries import DeliveryCalls
from watchkeeper.client.evidence import EvidenceCalls
from watchkeeper.client.handling import HandlingCalls
from watchkeeper.client.handovers import HandoverCalls
from watchkeeper.client.health import HealthCalls
from watchkeeper.client.identity import IdentityCalls
from watchkeeper.client.incidents import IncidentCalls
from watchkeeper.client.locks import LockCalls
from watchkeeper.client.models import ModelCalls
from watchkeeper.client.oncall import OnCallCalls
from watchkeeper.client.people import PersonCalls
from watchkeeper.client.policies import PolicyCalls
from watchkeeper.client.problems import error_of
from watchkeeper.client.replays import ReplayCalls
from watchkeeper.client.reports import ReportCalls
from watchkeeper.client.requests import RequestCalls
from watchkeeper.client.runs import RunCalls
from watchkeeper.client.runtimes import RuntimeCalls
from watchkeeper.client.secrets import SecretCalls
from watchkeeper.client.spending import SpendingCalls
from watchkeeper.client.standing import StandingCalls
from watchkeeper.client.telemetry import TelemetryCalls
from watchkeeper.client.tools import ToolCalls
from watchkeeper.client.traces import TraceCalls
from watchkeeper.core.digest import parse
from watchkeeper.wire.pages import Page
from watchkeeper.wire.plane import (
    AdvanceClock,
    Apply,
    EventRow,
    Need,
    Plan,
    Status,
)


class PlaneClient(
    AskingCalls,
    AuditCalls,
    BreakerCalls,
    BudgetCalls,
    ChannelCalls,
    DelegationCalls,
    DeliveryCalls,
    EvidenceCalls,
    HandlingCalls,
    HandoverCalls,
    HealthCalls,
    IdentityCalls,
    IncidentCalls,
    LockCalls,
    ModelCalls,
    OnCallCalls,
    PersonCalls,
    PolicyCalls,
    ReplayCalls,
    ReportCalls,
    RequestCalls,
    RunCalls,
    RuntimeCalls,
    SecretCalls,
    SpendingCalls,
    StandingCalls,
    TelemetryCalls,
    ToolCalls,
    TraceCalls,
):
    """A person's view of one plane.

    Every method raises the error of `core.errors` that the plane answered with
    (code, remedy and rule included), or `Unavailable` when it cannot be reached.
    Lists come in pages: pass a page's `next` as `after` for the following one.
    """

    # The plane

    async def healthy(self) -> bool:
        """Tell whether the plane's process answers."""
        return (await self.transport.send("GET", "/healthz")).status < 400

    async def ready(self) -> bool:
        """Tell whether the plane can decide."""
        return (await self.transport.send("GET", "/readyz")).status < 400

    async def status(self) -> Status:
        """Read what the header of every screen shows."""
        return await self._get(Status, "/v1/status")

    async def stop(self) -> None:
        """Ask the plane to end in order; for its owner, over the socket."""
        await self._send_nothing("/v1/plane/stop")

    async def advance_clock(self, seconds: float) -> Status:
        """Move the clock of a rehearsal forward."""
        return await self._post(
            Status, "/v1/rehearsal/clock", AdvanceClock(advance_seconds=seconds)
        )

    async def openapi(self) -> Any:
        """Read the description of the API."""
        reply = await self.transport.send("GET", "/v1/openapi.json")
        if reply.status >= 400:
            raise error_of(reply)
        return parse(reply.body)

    # What needs a person

    async def watch(self, *, limit: int | None = None) -> Page[Need]:
        """List what needs a person now, most pressing first."""
        return await self._get(Page[Need], "/v1/watch", limit=limit)

    # Ledger

    async def events(
        self,
        *,
        after: int | None = None,
        before: int | None = None,
        type: str | None = None,
        agent: str | None = None,
        run: str | None = None,
        request: str | None = None,
        filter: str | None = None,
        limit: int | None = None,
    ) -> Page[EventRow]:
        """List entries of the ledger, newest first unless `after` is given."""
        return await self._get(
            Page[EventRow],
            "/v1/events",
            after=after,
            before=before,
            type=type,
            agent=agent,
            run=run,
            request=request,
            filter=filter,
            limit=limit,
        )

    # Documents

    async def apply(self, apply: Apply) -> Plan:
        """Plan or apply a directory of contracts and policies."""
        return await self._post(Plan, "/v1/apply", apply, wait_seconds=60)
