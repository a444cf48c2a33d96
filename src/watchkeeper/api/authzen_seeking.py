"""What an AuthZEN request means here: who asks, about which agent and run, and which action.

Subjects are agents (`agent` or `identity`: a name or a SPIFFE id) and runs; actions `use_tool`,
`call_model`, and MCP's `tools/call`. An `identity` beside `context.agent` is on whose behalf the
agent acts, as the MCP binding has it. What is not known here is denied, never an error.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from watchkeeper.api.callers import find_person
from watchkeeper.api.table import Call, say_invalid
from watchkeeper.core import ids
from watchkeeper.core.errors import Forbidden, Invalid
from watchkeeper.decide.model import Action
from watchkeeper.decide.replay.rehearsal import run_at_rest
from watchkeeper.identity.enrolment import agent_of
from watchkeeper.identity.model import RunFacts
from watchkeeper.identity.principals import SCHEME, read_principal
from watchkeeper.identity.recorded import recorded_run
from watchkeeper.identity.rules import RUN_ENDED, check_token
from watchkeeper.identity.runs import facts_of
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.authzen import Evaluation
from watchkeeper.wire.decisions import Usage

_ACTIONS = {"use_tool": "tool", "tools/call": "tool", "call_model": "model"}


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: a person who may read, or an agent, for itself only."""

    agent: str | None = None
    run: RunFacts | None = None


@dataclass(frozen=True, slots=True)
class Sought:
    """An evaluation as the path takes it; `problem` says why there is none."""

    run: RunFacts
    action: Action
    approval: str | None
    problem: str | None = None


async def find_asker(call: Call) -> Asker:
    """Return who asks; raise `Unauthenticated`."""
    bearer = call.bearer
    if bearer is not None and bearer.startswith("wkr_"):
        run = await call.rooms.store.read(lambda tx: check_token(facts_of(tx, bearer), tx.now))
        return Asker(run.agent, run)
    if bearer is not None and bearer.startswith("wka_"):
        return Asker(await call.rooms.store.read(lambda tx: agent_of(tx, bearer)))
    call.person = await find_person(
        call.rooms.store, call.rooms.view.now, call.request.scope, bearer
    )
    if not call.person.may("read"):
        raise Forbidden("this needs read", rule="permission/read")
    return Asker()


def seek(call: Call, tx: Transaction, asker: Asker, body: Evaluation) -> Sought:
    """Return what is asked in our own words. Raises `Forbidden` for another's affairs."""
    context, kind = body.context, _ACTIONS.get(body.action.name)
    run, problem = _run_of(call, tx, asker, body)
    if run is None:
        run = _fresh(call, body)
    _check_reach(call, asker, run)
    environment, behalf = context.get("environment"), context.get("on_behalf_of")
    if asker.run is None:
        run = replace(
            run,
            environment=environment if isinstance(environment, str) else run.environment,
            on_behalf_of=behalf if isinstance(behalf, str) else run.on_behalf_of,
        )
    arguments = context.get("arguments", body.action.properties.get("arguments", {}))
    if kind is None:
        problem = f"action {body.action.name!r:.80} is not known: {', '.join(_ACTIONS)}"
    elif body.resource.type != kind:
        problem = f"{body.action.name} is of a resource of type {kind}"
    elif not isinstance(arguments, dict):
        problem = "arguments are an object"
        arguments = {}
    duties = context.get("fulfils", ())
    action = Action(
        "model" if kind == "model" else "tool",
        body.resource.id if kind == "model" else _tool(call, body.resource.id),
        arguments if isinstance(arguments, dict) else {},
        _estimate(context.get("estimate")),
        fulfils=tuple(duties) if isinstance(duties, list) else (),
    )
    approval = context.get("approval")
    name = approval.get("id") if isinstance(approval, dict) else None
    return Sought(run, action, name if isinstance(name, str) else None, problem)


def _tool(call: Call, named: str) -> str:
    """Return what contracts call a tool: who enforces MCP sees what the gateway lists."""
    return call.rooms.view.now.functions.tool(named)


def _run_of(
    call: Call, tx: Transaction, asker: Asker, body: Evaluation
) -> tuple[RunFacts | None, str | None]:
    """Return the run that is meant, if one is named, and what is wrong with who is named."""
    if body.subject.type not in ("agent", "identity", "run"):
        return asker.run, f"subject type {body.subject.type!r:.40} is not known: agent, run"
    named = body.context.get("run")
    if body.subject.type == "run":
        named = _plain(call, body.subject.id)
    if isinstance(named, str):
        found = recorded_run(tx, named) if ids.is_id(named) else None
        if asker.run is not None and asker.run.run == named:
            return asker.run, None
        if found is None:
            return None, f"there is no run {named!r:.80}"
        return found, f"run {named} has ended" if found.state in RUN_ENDED else None
    return asker.run, None


def _fresh(call: Call, body: Evaluation) -> RunFacts:
    """Return a run of the agent that is meant, which has just begun."""
    agent, behalf = _plain(call, body.subject.id), None
    acting = body.context.get("agent")
    if body.subject.type == "identity" and isinstance(acting, str):
        agent, behalf = _plain(call, acting), body.subject.id
    return run_at_rest(call.rooms.view.now, agent, on_behalf_of=behalf)


def _plain(call: Call, subject: str) -> str:
    """Return the name of an agent or run, from its SPIFFE id in this trust domain too.

    An id of another domain stays as it is: nobody here bears it.
    """
    if not subject.startswith(SCHEME):
        return subject
    try:
        principal = read_principal(subject, call.rooms.tokens.proofs.trust_domain)
    except Invalid:
        return subject
    return principal.name if principal.kind in ("agent", "run") else subject


def _check_reach(call: Call, asker: Asker, run: RunFacts) -> None:
    if asker.agent is None:
        if call.person is not None:
            call.check_agent("read", run.agent)
        return
    own = run.agent == asker.agent and (asker.run is None or asker.run.run == run.run)
    if not own:
        raise Forbidden(
            "an agent may ask for itself only",
            rule="access/subject",
            remedy="name the agent, or the run, that the token is of",
        )


def _estimate(given: Any) -> Usage:
    try:
        return Usage.model_validate(given or {})
    except ValidationError as error:
        raise say_invalid(error) from None


def may_see(call: Call, asker: Asker, row: Row) -> bool:
    """Tell whether an approval request is the asker's to see."""
    if asker.agent is None:
        seen = call.agents_seen()
        return seen is None or row.agent in seen
    return bool(row.agent == asker.agent and (asker.run is None or asker.run.run == row.run))
