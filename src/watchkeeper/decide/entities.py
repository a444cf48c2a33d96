"""What policies may know of the documents in force."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from watchkeeper.decide.models.pricing import GovernedModel, GovernedTarget
from watchkeeper.policy.facts import (
    AgentFacts,
    ModelFacts,
    StoreFacts,
    ToolFacts,
    place_name,
)
from watchkeeper.registry.contract import AgentContract
from watchkeeper.registry.documents import ToolContract


def agent_facts(contract: AgentContract, version: int) -> AgentFacts:
    """Return an agent as policies see it."""
    return AgentFacts(
        contract.name,
        contract.namespace,
        contract.owner,
        contract.tags,
        contract.autonomy,
        version,
        contract.environments,
        contract.regions,
    )


def tool_facts(contract: ToolContract) -> ToolFacts:
    """Return a tool as policies see it."""
    return ToolFacts(
        contract.name,
        contract.region,
        contract.access,
        contract.risk,
        contract.tags,
        contract.upstream or "",
        contract.reversible,
        contract.data.taken,
        contract.data.given,
    )


def model_facts(model: GovernedModel, models: Mapping[str, GovernedModel]) -> Iterator[ModelFacts]:
    """Yield a logical model as policies see it, once for each place where it may be answered.

    An ensemble is wherever its members are.
    """
    document, targets = model.document, model.targets
    if document.ensemble is not None:
        members = (*document.ensemble.models, document.ensemble.adjudicator)
        known = [models[name] for name in members if name in models]
        targets = tuple(target for member in known for target in member.targets)
    found = [
        ModelFacts(
            document.name,
            target.provider.region,
            tags=document.tags,
            provider=target.provider.name,
            context_window=target.model.context_window,
        )
        for target in targets
    ]
    yield from dict.fromkeys(found) or (ModelFacts(document.name, "", tags=document.tags),)


def place_of(target: GovernedTarget) -> str:
    """Return the name of the place where a target is, as policies see it."""
    provider = target.provider
    return place_name(provider.name, provider.region, target.model.context_window)


def store_facts(contracts: Iterable[AgentContract]) -> Iterator[StoreFacts]:
    """Yield every memory store that a contract names."""
    named = {
        name for contract in contracts for name in (*contract.memory.read, *contract.memory.write)
    }
    yield from (StoreFacts(name) for name in sorted(named))
