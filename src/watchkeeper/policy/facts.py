"""What policies may know of agents and of what they use; the Cedar schema is made from these."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """An agent, in its namespace and its team."""

    name: str
    namespace: str = "default"
    team: str = ""
    tags: tuple[str, ...] = ()
    autonomy: str = "act"
    version: int = 1
    environments: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolFacts:
    """A tool. What nobody has said is None: the entity lacks the attribute."""

    name: str
    region: str = "eu"
    access: str = "read"
    risk: str = "low"
    tags: tuple[str, ...] = ()
    upstream: str = ""
    """Empty: agents perform it themselves."""
    reversible: bool | None = None
    data_in: tuple[str, ...] | None = None
    data_out: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A logical model with a provider behind it; one that has several is told for each."""

    name: str
    region: str = "eu"
    access: str = "read"
    risk: str = "low"
    tags: tuple[str, ...] = ()
    provider: str = ""
    context_window: int = 0

    @property
    def place(self) -> str:
        """Which of its places this is."""
        return place_name(self.provider, self.region, self.context_window)


def place_name(provider: str, region: str, context_window: int) -> str:
    """Name a place of a model by all that policies may know of it."""
    return f"{provider} ({region}, {context_window:,} tokens)"


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """A memory store that contracts name."""

    name: str
    region: str = ""
    access: str = "write"
    risk: str = "low"
    tags: tuple[str, ...] = ()


ResourceFacts = ToolFacts | ModelFacts | StoreFacts
KIND_OF: dict[type, str] = {
    AgentFacts: "Agent",
    ToolFacts: "Tool",
    ModelFacts: "Model",
    StoreFacts: "Store",
}
"""Facts → the Cedar entity type that they are of."""
