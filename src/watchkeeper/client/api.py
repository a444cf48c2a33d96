"""The typed client of the operator API: one method for each route."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from watchkeeper.client.asking import AskingCalls
from watchkeeper.client.audits import AuditCalls
from watchkeeper.client.breakers import BreakerCalls
from watchkeeper.client.calls import path_part
from watchkeeper.client.channels import ChannelCalls
from watchkeeper.client.delegations import DelegationCalls
from watchkeeper.client.deliveries import DeliveryCalls
from watchkeeper.client.evidence import EvidenceCalls
from watchkeeper.client.handling import HandlingCalls
from watchkeeper.client.handovers import HandoverCalls
from watchkeeper.client.health import HealthCalls
from watchkeeper.client.identity import IdentityCalls
from watchkeeper.client.incidents import IncidentCalls
from watchkeeper.client.models import ModelCalls
from watchkeeper.client.oncall import OnCallCalls
from watchkeeper.client.policies import PolicyCalls
from watchkeeper.client.problems import error_of
from watchkeeper.client.replays import ReplayCalls
from watchkeeper.client.reports import ReportCalls
from watchkeeper.client.runtimes import RuntimeCalls
from watchkeeper.client.spending import SpendingCalls
from watchkeeper.client.standing import StandingCalls
from watchkeeper.client.telemetry import TelemetryCalls
from watchkeeper.client.traces import TraceCalls
from watchkeeper.core.digest import parse
from watchkeeper.wire.agents import AgentDetail, AgentRow, Enrol, Enrolment, RunDetail, RunRow
from watchkeeper.wire.base import Sent
from watchkeeper.wire.budgets import BalanceCheck, BudgetDetail, BudgetRow, CapChange, TopUp
from watchkeeper.wire.locks import BlastRadius, Lift, Lock, LockRow, Target
from watchkeeper.wire.pages import Page
from watchkeeper.wire.people import (
    AskChallenge,
    AskDevice,
    AskDeviceState,
    Challenge,
    DeviceLogin,
    DeviceState,
    IssueToken,
    PersonRow,
    PersonToken,
    RevokeToken,
    SshLogin,
    TokenRow,
)
from watchkeeper.wire.plane import (
    AdvanceClock,
    Apply,
    EventRow,
    Me,
    Need,
    Plan,
    Status,
    UpstreamRow,
)
from watchkeeper.wire.requests import Acknowledge, Escalate, RequestDetail, RequestRow, Vote
from watchkeeper.wire.secrets import KeyRotation, PutSecret, SecretRow
from watchkeeper.wire.tools import Draft, JudgeDefinition, QuarantineRow, ToolDetail, ToolRow


class PlaneClient(
    AskingCalls,
    AuditCalls,
    EvidenceCalls,
    BreakerCalls,
    PolicyCalls,
    IdentityCalls,
    IncidentCalls,
    HandlingCalls,
    HandoverCalls,
    HealthCalls,
    ChannelCalls,
    DelegationCalls,
    DeliveryCalls,
    ModelCalls,
    OnCallCalls,
    ReplayCalls,
    ReportCalls,
    RuntimeCalls,
    SpendingCalls,
    StandingCalls,
    TelemetryCalls,
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

    async def upstreams(self) -> Page[UpstreamRow]:
        """List upstreams and providers and how they do."""
        return await self._get(Page[UpstreamRow], "/v1/upstreams")

    # What needs a person

    async def watch(self, *, limit: int | None = None) -> Page[Need]:
        """List what needs a person now, most pressing first."""
        return await self._get(Page[Need], "/v1/watch", limit=limit)

    # Agents and runs

    async def agents(
        self, *, after: str | None = None, limit: int | None = None, filter: str | None = None
    ) -> Page[AgentRow]:
        """List the fleet."""
        return await self._get(
            Page[AgentRow], "/v1/agents", after=after, limit=limit, filter=filter
        )

    async def agent(self, name: str) -> AgentDetail:
        """Read one agent with its contract."""
        return await self._get(AgentDetail, f"/v1/agents/{path_part(name)}")

    async def enrol(self, enrol: Enrol) -> Enrolment:
        """Make a one-time secret for an agent's workload."""
        return await self._post(Enrolment, "/v1/enrolments", enrol)

    async def runs(
        self,
        *,
        agent: str | None = None,
        version: int | None = None,
        state: str | None = None,
        on_behalf_of: str | None = None,
        cost_at_least: int | None = None,
        replay_of: str | None = None,
        filter: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> Page[RunRow]:
        """List runs, newest first; `replay_of` `any` has all replays."""
        return await self._get(
            Page[RunRow],
            "/v1/runs",
            agent=agent,
            version=version,
            state=state,
            on_behalf_of=on_behalf_of,
            cost_at_least=cost_at_least,
            replay_of=replay_of,
            filter=filter,
            after=after,
            limit=limit,
        )

    async def run(self, run: str) -> RunDetail:
        """Read one run."""
        return await self._get(RunDetail, f"/v1/runs/{path_part(run)}")

    # Approvals

    async def requests(
        self,
        *,
        state: str = "pending",
        role: str | None = None,
        agent: str | None = None,
        filter: str | None = None,
        together: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> Page[RequestRow]:
        """List approval requests; `state` is pending (by decide_by), decided or all.

        `together` (tool, agent or object) has pending ones that share it stand together.
        """
        return await self._get(
            Page[RequestRow],
            "/v1/requests",
            state=state,
            role=role,
            agent=agent,
            filter=filter,
            together=together,
            after=after,
            limit=limit,
        )

    async def request(self, request: str) -> RequestDetail:
        """Read one request; the plane records that this person has seen it."""
        return await self._get(RequestDetail, f"/v1/requests/{path_part(request)}")

    async def vote(self, request: str, vote: Vote) -> RequestDetail:
        """Approve or reject; raises `Conflict` if it was decided or has changed meanwhile."""
        return await self._post(RequestDetail, f"/v1/requests/{path_part(request)}/votes", vote)

    async def escalate(self, request: str, escalate: Escalate) -> RequestDetail:
        """Ask the next level now."""
        return await self._post(
            RequestDetail, f"/v1/requests/{path_part(request)}/escalate", escalate
        )

    async def acknowledge(self, request: str, acknowledge: Acknowledge) -> RequestDetail:
        """Say "I am on it": escalation and reminders wait until `acknowledged_until`."""
        return await self._post(
            RequestDetail, f"/v1/requests/{path_part(request)}/acknowledge", acknowledge
        )

    # Budgets

    async def budgets(
        self,
        *,
        scope: str | None = None,
        filter: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> Page[BudgetRow]:
        """List caps with what is used and held."""
        return await self._get(
            Page[BudgetRow], "/v1/budgets", scope=scope, filter=filter, after=after, limit=limit
        )

    async def budget(self, budget: str) -> BudgetDetail:
        """Read one budget with who draws on it."""
        return await self._get(BudgetDetail, f"/v1/budgets/{quote(budget)}")

    async def check_balances(self) -> BalanceCheck:
        """Add every balance up from its holds."""
        return await self._get(BalanceCheck, "/v1/balances/check")

    async def top_up(self, budget: str, top_up: TopUp) -> BudgetRow:
        """Raise a cap for its current period."""
        return await self._post(BudgetRow, f"/v1/top-ups/{quote(budget)}", top_up)

    async def change_cap(self, budget: str, change: CapChange) -> BudgetRow:
        """Put another cap in place of the documents', until a time or taken back."""
        return await self._post(BudgetRow, f"/v1/caps/{quote(budget)}", change)

    # Locks

    async def locks(self, *, state: str = "in_force") -> Page[LockRow]:
        """List locks; `state` is in_force or all."""
        return await self._get(Page[LockRow], "/v1/locks", state=state)

    async def preview_lock(self, target: Target) -> BlastRadius:
        """Count what a lock on `target` would stop now."""
        return await self._post(BlastRadius, "/v1/locks/preview", target)

    async def lock(self, lock: Lock) -> LockRow:
        """Put a kill or pause in force."""
        return await self._post(LockRow, "/v1/locks", lock)

    async def read_lock(self, lock: str) -> LockRow:
        """Read one lock with its receipts."""
        return await self._get(LockRow, f"/v1/locks/{path_part(lock)}")

    async def lift(self, lock: str, lift: Lift) -> LockRow:
        """End a lock."""
        return await self._post(LockRow, f"/v1/locks/{path_part(lock)}/lift", lift)

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

    # Tools

    async def tools(
        self, *, after: str | None = None, limit: int | None = None, filter: str | None = None
    ) -> Page[ToolRow]:
        """List tools; those that an upstream offers without a contract too."""
        return await self._get(Page[ToolRow], "/v1/tools", after=after, limit=limit, filter=filter)

    async def tool(self, name: str) -> ToolDetail:
        """Read one tool: its contract in words, its definitions, what was decided of it."""
        return await self._get(ToolDetail, f"/v1/tools/{path_part(name)}")

    async def quarantine(self, *, limit: int | None = None) -> Page[QuarantineRow]:
        """List definitions that wait for a person."""
        return await self._get(Page[QuarantineRow], "/v1/quarantine", limit=limit)

    async def accept_definition(self, judge: JudgeDefinition) -> QuarantineRow:
        """Trust a definition; raises `Conflict` if another is offered meanwhile."""
        return await self._post(QuarantineRow, "/v1/quarantine/accept", judge)

    async def reject_definition(self, judge: JudgeDefinition) -> QuarantineRow:
        """Keep a definition refused; raises as `accept_definition`."""
        return await self._post(QuarantineRow, "/v1/quarantine/reject", judge)

    async def draft(self, upstream: str) -> Draft:
        """Draft contracts for what an upstream offers without one."""
        return await self._get(Draft, f"/v1/upstreams/{path_part(upstream)}/draft")

    # Contracts and people

    async def apply(self, apply: Apply) -> Plan:
        """Plan or apply a directory of contracts and policies."""
        return await self._post(Plan, "/v1/apply", apply, wait_seconds=60)

    async def secrets(self) -> Page[SecretRow]:
        """List sealed secrets; never their values."""
        return await self._get(Page[SecretRow], "/v1/secrets")

    async def put_secret(self, name: str, put: PutSecret) -> SecretRow:
        """Seal a value as the secret's next version."""
        return await self._post(SecretRow, f"/v1/secrets/{path_part(name)}", put)

    async def remove_secret(self, name: str) -> None:
        """Forget a secret's value."""
        await self._send_nothing(f"/v1/secrets/{path_part(name)}/remove")

    async def rotate_sealing_key(self) -> KeyRotation:
        """Seal every secret with a new key."""
        return await self._post(KeyRotation, "/v1/sealing-key/rotate", Sent(), wait_seconds=60)

    async def people(self) -> Page[PersonRow]:
        """List the people who have a document."""
        return await self._get(Page[PersonRow], "/v1/persons")

    async def tokens(self) -> Page[TokenRow]:
        """List people's tokens that open something."""
        return await self._get(Page[TokenRow], "/v1/persons/tokens")

    async def revoke_token(self, ask: RevokeToken) -> None:
        """End a person's token at once."""
        await self._send_nothing("/v1/persons/tokens/revoke", ask)

    async def whoami(self) -> Me:
        """Read who the plane takes me for."""
        return await self._get(Me, "/v1/me")

    async def challenge(self, ask: AskChallenge) -> Challenge:
        """Get something to sign with an SSH key."""
        return await self._post(Challenge, "/v1/login/challenge", ask)

    async def log_in_with_key(self, ask: SshLogin) -> PersonToken:
        """Log in with a signed challenge."""
        return await self._post(PersonToken, "/v1/login/ssh", ask)

    async def begin_device(self, ask: AskDevice) -> DeviceLogin:
        """Begin a login that is confirmed at an issuer."""
        return await self._post(DeviceLogin, "/v1/login/device", ask, wait_seconds=15)

    async def device_state(self, ask: AskDeviceState) -> DeviceState:
        """Ask how a login by device stands."""
        return await self._post(DeviceState, "/v1/login/device/state", ask, wait_seconds=15)

    async def log_out(self) -> None:
        """End the token that this client calls with."""
        await self._send_nothing("/v1/logout")

    async def issue_token(self, ask: IssueToken) -> PersonToken:
        """Make a person's token for a remote console."""
        return await self._post(PersonToken, "/v1/persons/tokens", ask)
