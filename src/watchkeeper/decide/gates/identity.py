"""Is the run of a known agent, acting for whom its contract says, within what its token is for?"""

from __future__ import annotations

from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.facts import Facts
from watchkeeper.decide.model import Action, Progress, Ruling, deny
from watchkeeper.identity.details import Use, affordable, why_spent
from watchkeeper.identity.scope import read_token_scope


def identity_gate(action: Action, facts: Facts, progress: Progress) -> Ruling | None:
    """The run is of a known agent, acts for whom its contract says, and the token covers it."""
    run = facts.run
    agent = facts.catalogue.agents.get(run.agent)
    if agent is None:
        return deny(
            "identity/contract",
            f"no contract is in force for agent {run.agent!r}",
            "apply its contract",
        )
    gone = next((name for _, name in run.ancestors if name not in facts.catalogue.agents), None)
    if gone is not None:
        return deny(
            "identity/contract",
            f"no contract is in force for agent {gone!r}, which handed this work on",
            "apply its contract",
        )
    identity = agent.contract.identity
    if identity.mode == "on_behalf_of" and not run.on_behalf_of:
        return deny(
            f"contract/{run.agent}/identity",
            "its contract lets it act only on somebody's behalf, and the run names nobody",
            "open the run with on_behalf_of",
        )
    if identity.verified and run.on_behalf_of and not run.on_behalf_of_proof:
        return deny(
            f"contract/{run.agent}/identity",
            "its contract wants proof of on whose behalf it acts, and the run only says so",
            "open the run at /oauth/token with a token of the person",
        )
    if run.scope is not None:
        scope = read_token_scope(run.scope)
        if not scope.admits(use_of(facts.catalogue, action)):
            return deny(
                "identity/scope",
                f"the token is not for {action.kind} {action.name!r}",
                f"what it is for: {scope.scope_text or 'what its authorization details name'}",
            )
    return None


def use_of(catalogue: Catalogue, action: Action) -> Use:
    """Return what an action uses, as a token's scope sees it."""
    if action.kind != "tool":
        return Use("model", action.name)
    return tool_use(catalogue, action.name)


def tool_use(catalogue: Catalogue, name: str) -> Use:
    """Return what a tool call uses; a tool without a contract counts as writing."""
    tool = catalogue.tools.get(name)
    if tool is None:
        return Use("tool", name)
    return Use("tool", name, tool.contract.access, tool.contract.upstream)


def limits_gate(action: Action, facts: Facts, progress: Progress) -> Ruling | None:
    """What the token may be used for in all has not been used up; a permit counts against it."""
    if facts.run.scope is None:
        return None
    scope = read_token_scope(facts.run.scope)
    spends = []
    for details in scope.counted(use_of(facts.catalogue, action)):
        found = affordable(details, facts.used, progress.amount_micros)
        if found is None:
            return deny(
                "identity/authorization-details",
                why_spent(details),
                "ask whoever gave the token for another",
            )
        spends.append(found)
    progress.spends = tuple(spends)
    return None
