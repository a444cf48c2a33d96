"""Does a lock in force cover the action?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from watchkeeper.core.errors import Forbidden
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.facts import Facts
from watchkeeper.decide.model import Action, Progress, Ruling, deny
from watchkeeper.identity.model import RunFacts
from watchkeeper.kill.model import Covered, LockInForce
from watchkeeper.kill.rules import DID, covering
from watchkeeper.wire.models import Routed

NO_VERSIONS: Mapping[str, int] = MappingProxyType({})
REMEDY = "nothing until a person lifts the lock; do not retry"


HOSTED_SERVER = "hosted.mcp."
"""How the names of tools begin whose server a model's provider calls."""


def upstream_of(catalogue: Catalogue, name: str) -> str | None:
    """Return the upstream that a tool calls, or that a model's provider calls for it."""
    tool = catalogue.tools.get(name)
    if tool is not None and tool.contract.upstream is not None:
        return tool.contract.upstream
    return name.removeprefix(HOSTED_SERVER) if name.startswith(HOSTED_SERVER) else None


def covered_by(catalogue: Catalogue, run: RunFacts, action: Action) -> Covered:
    """Return what an action touches, as locks see it."""
    return covered_run(
        catalogue,
        run.run,
        run.agent,
        run.version,
        run.on_behalf_of,
        run.ancestors,
        run.versions_above,
        tool=action.name if action.kind == "tool" else None,
        model=action.name if action.kind == "model" else None,
    )


def covered_run(
    catalogue: Catalogue,
    run: str,
    agent: str,
    version: int | None,
    on_behalf_of: str | None,
    ancestors: Iterable[tuple[str, str]] = (),
    versions: Mapping[str, int] = NO_VERSIONS,
    *,
    tool: str | None = None,
    model: str | None = None,
    approval: str | None = None,
) -> Covered:
    """Return what a run is, as locks see it, with what it uses; `versions` are those of the runs
    above it.
    """
    return Covered(
        run,
        agent,
        catalogue.team_of(agent),
        tool,
        model,
        version=version,
        upstreams=_upstreams(catalogue, (tool,) if tool is not None else ()),
        persons=catalogue.names.names(on_behalf_of) if on_behalf_of else frozenset(),
        runtimes=catalogue.runtimes_of(agent),
        approval=approval,
        above=runs_above(catalogue, ancestors, versions) if ancestors else (),
    )


def covered_there(
    catalogue: Catalogue, covered: Covered, routed: Routed, hosted: tuple[str, ...] = ()
) -> Covered:
    """Return what a model call touches that is routed: every model that may answer it, and the
    tools that its provider may run along (`hosted`), with their servers.
    """
    legs = (*routed.ensemble, *((routed.stronger,) if routed.stronger else ()))
    if routed.model == covered.model and not legs and not hosted:
        return covered
    beside = tuple(leg.model for leg in legs)
    servers = _upstreams(catalogue, hosted)
    return replace(covered, model=routed.model, beside=beside, hosted=hosted, upstreams=servers)


def _upstreams(catalogue: Catalogue, tools: Iterable[str]) -> frozenset[str]:
    found = (upstream_of(catalogue, name) for name in tools)
    return frozenset(name for name in found if name is not None)


def runs_above(
    catalogue: Catalogue,
    ancestors: Iterable[tuple[str, str]],
    versions: Mapping[str, int] = NO_VERSIONS,
) -> tuple[Covered, ...]:
    """Return the runs that a child run was opened under, as locks see them."""
    return tuple(
        Covered(
            run,
            agent,
            catalogue.team_of(agent),
            version=versions.get(run),
            runtimes=catalogue.runtimes_of(agent),
        )
        for run, agent in ancestors
    )


def words_of(lock: LockInForce) -> str:
    """Say what a lock refuses, and why."""
    return f"{lock.target.words} is {DID[lock.mode]}: {lock.reason}"


def forbidden(lock: LockInForce) -> Forbidden:
    """Return the error of what a lock covers."""
    return Forbidden(words_of(lock), code="locked", rule=f"lock/{lock.lock}", remedy=REMEDY)


def stopped(run: str) -> Forbidden:
    """Return the error of what a run asks for that a kill has stopped."""
    return Forbidden(
        f"run {run} was stopped by a kill",
        code="locked",
        rule="lock/run-stopped",
        remedy="open a new run",
    )


def refused_by(lock: LockInForce) -> Ruling:
    """Return the refusal of what a lock covers."""
    return deny(f"lock/{lock.lock}", words_of(lock), REMEDY)


def kill_gate(action: Action, facts: Facts, progress: Progress) -> Ruling | None:
    """No lock in force covers what the action touches."""
    locks = facts.locks
    lock = covering(locks, covered_by(facts.catalogue, facts.run, action)) if locks else None
    if lock is not None:
        return refused_by(lock)
    if facts.run.state == "stopped":
        return deny(
            "lock/run-stopped",
            f"run {facts.run.run} was stopped by a kill",
            "open a new run",
        )
    return None


def lock_on_approval(locks: Sequence[LockInForce], request: str | None) -> LockInForce | None:
    """Return the lock on a request, whose approval is not used under it."""
    if not locks or request is None:
        return None
    of_approvals = [lock for lock in locks if lock.target.kind == "approval"]
    return covering(of_approvals, Covered("", "", "", approval=request))


def lock_on_provider(locks: Sequence[LockInForce], provider: str) -> LockInForce | None:
    """Return the lock on a provider, which is asked nothing under it."""
    if not locks:
        return None
    of_providers = [lock for lock in locks if lock.target.kind == "provider"]
    return covering(of_providers, Covered("", "", "", provider=provider))
