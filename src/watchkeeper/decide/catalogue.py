"""Everything in force, compiled once for deciding: an immutable view of the registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import jsonschema_rs

from watchkeeper.core.errors import Invalid
from watchkeeper.oncall.model import Role as People
from watchkeeper.oncall.rules import roles_of
from watchkeeper.policy.engine import PolicyEngine
from watchkeeper.policy.model import AgentFacts, ResourceFacts
from watchkeeper.policy.source import check_set
from watchkeeper.registry.contract import AgentContract
from watchkeeper.registry.documents import (
    Budget,
    Escalation,
    LogicalModel,
    Policy,
    Provider,
    ProviderModel,
    Role,
    ToolContract,
    Upstream,
)
from watchkeeper.registry.patterns import compile_pattern
from watchkeeper.registry.rules import InForce, Key

Kind = TypeVar("Kind")
OWNER_ROLE = "owner"


@dataclass(frozen=True, slots=True)
class GovernedAgent:
    """An agent's contract in force."""

    contract: AgentContract
    version: int
    digest: str
    text: str
    tools: Mapping[str, bool]
    """Allowed tool → whether the contract asks for approval of it."""


@dataclass(frozen=True, slots=True)
class GovernedTool:
    """A tool's contract in force, with its compiled checks."""

    contract: ToolContract
    digest: str
    check: Callable[[Any], str | None]
    """Returns what is wrong with arguments, or None."""
    never: tuple[tuple[str, Callable[[Any], bool], str], ...]
    """Argument, whether the pattern occurs in it, and why it must not."""


@dataclass(frozen=True, slots=True)
class PricedModel:
    """A logical model with the provider model behind it."""

    model: LogicalModel
    provider: Provider
    priced: ProviderModel


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What is in force; replaced as a whole when something is applied."""

    agents: Mapping[str, GovernedAgent]
    tools: Mapping[str, GovernedTool]
    models: Mapping[str, PricedModel]
    upstreams: Mapping[str, Upstream]
    providers: Mapping[str, Provider]
    roles: Mapping[str, Role]
    escalations: Mapping[str, Escalation]
    budgets: tuple[Budget, ...]
    policies: Mapping[str, str]
    engine: PolicyEngine

    def roles_of(self, person: str, *, owner: bool) -> frozenset[str]:
        """Return the roles a person holds; a role nobody defined falls to the plane's owner."""
        known = (People(role.name, frozenset(role.members)) for role in self.roles.values())
        held = roles_of(person, known, is_owner=owner)
        return held | {OWNER_ROLE} if owner else held

    def team_of(self, agent: str) -> str:
        """Return the team that owns an agent, or an empty text if no contract is in force."""
        governed = self.agents.get(agent)
        return governed.contract.owner if governed else ""

    def known_role(self, name: str) -> str:
        """Return a role by name, or the owner's where no such role is defined."""
        return name if name in self.roles else OWNER_ROLE


def build_catalogue(standing: Mapping[Key, InForce]) -> Catalogue:
    """Compile what is in force; raise `Invalid` for a policy or schema that can't be used."""
    agents = {
        old.name: GovernedAgent(
            contract,
            old.version,
            old.digest,
            old.text,
            {tool.name: tool.requires_approval for tool in contract.tools.allowlist},
        )
        for old, contract in _of(standing, AgentContract)
    }
    tools = {
        old.name: _compile_tool(old, contract) for old, contract in _of(standing, ToolContract)
    }
    models = _price_models(standing)
    files = check_set((old.name, policy.text) for old, policy in _of(standing, Policy))
    engine = PolicyEngine(
        files,
        [
            AgentFacts(
                name,
                agent.contract.namespace,
                agent.contract.owner,
                agent.contract.tags,
                agent.contract.autonomy,
            )
            for name, agent in agents.items()
        ],
        [
            *(
                ResourceFacts("Tool", name, t.contract.region, t.contract.tags,
                              t.contract.access, t.contract.risk)
                for name, t in tools.items()
            ),
            *(ResourceFacts("Model", name, m.provider.region) for name, m in models.items()),
        ],
    )  # fmt: skip
    return Catalogue(
        agents=agents,
        tools=tools,
        models=models,
        upstreams={old.name: one for old, one in _of(standing, Upstream)},
        providers={old.name: one for old, one in _of(standing, Provider)},
        roles={old.name: one for old, one in _of(standing, Role)},
        escalations={old.name: one for old, one in _of(standing, Escalation)},
        budgets=tuple(one for _, one in _of(standing, Budget)),
        policies={file.name: file.text for file in files},
        engine=engine,
    )


class CatalogueView:
    """The catalogue in force now; `replace` swaps it once an apply is durable."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.now = catalogue

    def replace(self, catalogue: Catalogue) -> None:
        """Put a new catalogue in force for every decision from here on."""
        self.now = catalogue


def _of(standing: Mapping[Key, InForce], kind: type[Kind]) -> list[tuple[InForce, Kind]]:
    return [(old, old.document) for old in standing.values() if isinstance(old.document, kind)]


def _price_models(standing: Mapping[Key, InForce]) -> dict[str, PricedModel]:
    providers = {old.name: provider for old, provider in _of(standing, Provider)}
    priced: dict[str, PricedModel] = {}
    for old, model in _of(standing, LogicalModel):
        provider = providers.get(model.provider)
        for offered in provider.models if provider else ():
            if provider and offered.name == model.provider_model:
                priced[old.name] = PricedModel(model, provider, offered)
    return priced


def _compile_tool(old: InForce, contract: ToolContract) -> GovernedTool:
    return GovernedTool(
        contract,
        old.digest,
        _compile_schema(contract),
        tuple((rule.argument, compile_pattern(rule.pattern), rule.why) for rule in contract.never),
    )


def _compile_schema(contract: ToolContract) -> Callable[[Any], str | None]:
    if contract.input_schema is None:
        return lambda arguments: None
    try:
        validator = jsonschema_rs.validator_for(contract.input_schema, offline=True)
    except (ValueError, jsonschema_rs.ValidationError) as error:
        # the checker goes on to print the schema and its own schema: the first line says it
        problem = str(error).partition("\n")[0]
        raise Invalid(
            f"tool {contract.name!r}: input_schema is not a usable JSON Schema: {problem}"[:400],
            remedy="correct the schema and apply again; nothing was changed",
        ) from error

    def check(arguments: Any) -> str | None:
        if validator.is_valid(arguments):
            return None
        problems = []
        for error in validator.iter_errors(arguments):
            at = ".".join(str(part) for part in error.instance_path) or "arguments"
            problems.append(f"{at}: {error.message}"[:300])
            if len(problems) == 3:
                break
        return "; ".join(problems)

    return check
