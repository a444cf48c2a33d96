"""Contracts: plan and apply a directory, enrol an agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from watchkeeper.api.table import Call, Operation
from watchkeeper.core.errors import NotFound
from watchkeeper.decide.policies.applying import Planned
from watchkeeper.identity import enrolment
from watchkeeper.registry.rules import Change
from watchkeeper.wire.agents import Enrol, Enrolment
from watchkeeper.wire.permissions import Permission
from watchkeeper.wire.plane import Apply, Plan, PlanLine

_TAKES: Mapping[str, Permission] = {
    "person": "people",
    "operator_role": "people",
    "issuer": "people",
    "policy": "policy-activate",
}
"""Kinds of documents that take more than `apply`: who may do what, and what policies decide."""


async def apply(call: Call) -> Plan:
    """Plan a directory, or put it in force."""
    body: Apply = call.body
    files = [(file.path, file.text) for file in body.files]
    applying = call.rooms.applying
    if body.dry_run:
        return _plan(await applying.plan(files, prune=body.prune))

    def check(changes: Sequence[Change]) -> None:
        for needed in sorted({_TAKES[change.kind] for change in changes if change.kind in _TAKES}):
            call.check_team(needed, "")

    planned = await applying.apply(
        files, prune=body.prune, actor=call.actor, seen_plan=body.plan, check=check
    )
    return _plan(planned)


def _plan(planned: Planned) -> Plan:
    lines = tuple(
        PlanLine(
            change=change.change,
            kind=change.kind,
            name=change.name,
            path=change.path,
            diff=change.diff,
        )
        for change in planned.changes
    )
    return Plan(lines=lines, digest=planned.digest, applied=planned.applied, warnings=planned.gaps)


async def enrol(call: Call) -> Enrolment:
    """Make a one-time secret for an agent that has a contract."""
    body: Enrol = call.body
    call.check_agent("enroll", body.agent)
    if body.agent not in call.rooms.view.now.agents:
        raise NotFound(
            f"no contract is in force for agent {body.agent}",
            remedy="apply a directory that holds its contract: `watchkeeper apply -f DIR`",
        )
    issued = await call.rooms.store.write(
        lambda tx: enrolment.enrol(tx, body.agent, ttl_seconds=body.ttl_seconds, actor=call.actor)
    )
    return Enrolment(
        agent=issued.agent,
        secret=issued.secret,
        expires_at=issued.expires_at,
        settings={
            "WATCHKEEPER_URL": call.rooms.http,
            "WATCHKEEPER_ENROLMENT": issued.secret,
        },
    )


OPERATIONS = (
    Operation(
        "POST",
        "/v1/apply",
        "apply",
        apply,
        "Plan or apply a directory of contracts and policies.",
        answers=Plan,
        takes=Apply,
        tags=("contracts",),
    ),
    Operation(
        "POST",
        "/v1/enrolments",
        "enroll",
        enrol,
        "Make a one-time enrolment secret for an agent.",
        answers=Enrolment,
        takes=Enrol,
        by_team=True,
        tags=("contracts",),
    ),
)
