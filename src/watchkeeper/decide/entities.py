"""What policies may know of the documents in force."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from watchkeeper.decide.pricing import GovernedModel
from watchkeeper.policy.facts import AgentFacts, ModelFacts, StoreFacts, ToolFacts
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


def model_facts(model: GovernedModel) -> ModelFacts:
    """Return a logical model as policies see it: it is where its first provider is."""
    document, target = model.document, model.primary
    if target is None:
        return ModelFacts(document.name, "", tags=document.tags)
    return ModelFacts(
        document.name,
        target.provider.region,
        tags=document.tags,
        provider=target.provider.name,
        context_window=target.model.context_window,
    )


def store_facts(contracts: Iterable[AgentContract]) -> Iterator[StoreFacts]:
    """Yield every memory store that a contract names."""
    named = {
        name for contract in contracts for name in (*contract.memory.read, *contract.memory.write)
    }
    yield from (StoreFacts(name) for name in sorted(named))
