"""Everything in force, compiled once for deciding: an immutable view of the registry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, TypeVar

from watchkeeper.budgets.changes import ChangedCap
from watchkeeper.core.errors import Invalid
from watchkeeper.decide.budgets.caps import CapIndex
from watchkeeper.decide.budgets.responding import Responding, compile_responses
from watchkeeper.decide.entities import agent_facts, model_facts, store_facts, tool_facts
from watchkeeper.decide.models.pricing import GovernedModel, KnownPrices, govern_model
from watchkeeper.decide.people.directory import Names, gather_names
from watchkeeper.decide.people.rota import PERSON_ROLE, Rota, compile_rota
from watchkeeper.identity.operators import Assigned, Permissions, Roles, permissions_of
from watchkeeper.identity.proofs import key_proof, subject_proof
from watchkeeper.oncall.schedules import Override
from watchkeeper.policy.engine import PolicyEngine
from watchkeeper.policy.population import Population
from watchkeeper.policy.source import Checked, check_set
from watchkeeper.policy.stages import sets_digest
from watchkeeper.registry.contract import AgentContract
from watchkeeper.registry.documents import Issuer, Policy, Rate, Role, ToolContract, Upstream
from watchkeeper.registry.patterns import compile_pattern
from watchkeeper.registry.people import OperatorRole, Person
from watchkeeper.registry.providers import LogicalModel, Provider
from watchkeeper.registry.questions import Question
from watchkeeper.registry.routes import reached
from watchkeeper.registry.rules import InForce, Key
from watchkeeper.registry.runtimes import Runtime
from watchkeeper.registry.spending import Breaker, Budget
from watchkeeper.registry.watch import Channel, Escalation, RiskClass, Schedule, Webhook
from watchkeeper.tools.inspection.schemas import Check, compile_schema
from watchkeeper.tools.pins.model import NO_PINS, Distrusted, Pins, Trusted
from watchkeeper.tools.pins.rules import trust
from watchkeeper.wire.data import RedactionLevel
from watchkeeper.wire.function_names import FunctionNames, name_functions
from watchkeeper.wire.permissions import BUILT_IN_ROLES
from watchkeeper.wire.policy import Stage

Kind = TypeVar("Kind")
OWNER_ROLE = "owner"
NO_STAGES: Mapping[str, Stage] = MappingProxyType({})
NO_PRICES: KnownPrices = MappingProxyType({})


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
    check: Check | None
    """What is wrong with arguments; None where no schema is declared."""
    check_output: Check | None
    """What is wrong with a result; None where the contract declares no schema for it."""
    never: tuple[tuple[str, Callable[[Any], bool], str], ...]
    """Argument, whether the pattern occurs in it, and why it must not."""
    text: str = ""
    """The document as it was applied."""


@dataclass(frozen=True, slots=True)
class GovernedPolicy:
    """A policy set in force: its policies, and where it was applied from."""

    file: Checked
    path: str
    version: int
    digest: str
    stage: Stage = "enforce"


@dataclass(frozen=True, slots=True)
class Shadow:
    """A policy set that does not decide yet, with the engine that asks it beside the others."""

    name: str
    stage: Stage
    engine: PolicyEngine


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What is in force; replaced as a whole when something is applied."""

    agents: Mapping[str, GovernedAgent]
    tools: Mapping[str, GovernedTool]
    functions: FunctionNames
    """What tools are called where models call them."""
    models: Mapping[str, GovernedModel]
    upstreams: Mapping[str, Upstream]
    providers: Mapping[str, Provider]
    issuers: Mapping[str, Issuer]
    roles: Mapping[str, Role]
    escalations: Mapping[str, Escalation]
    schedules: Mapping[str, Schedule]
    risks: Mapping[str, RiskClass]
    """Risk class → what deciding one takes, where a document says."""
    webhooks: Mapping[str, Webhook]
    channels: Mapping[str, Channel]
    runtimes: Mapping[str, Runtime]
    """Where agents' work runs."""
    questions: Mapping[str, Question]
    """What is asked again about what happened."""
    budgets: tuple[Budget, ...]
    caps: CapIndex
    """The caps of contracts and budgets, found by who acts."""
    responding: Mapping[str, Responding]
    """Budget document → what happens at its levels."""
    breakers: tuple[Breaker, ...]
    rates: tuple[Rate, ...]
    policies: Mapping[str, GovernedPolicy]
    policies_digest: str
    """Of all sets in force, each in its stage: decisions name it."""
    engine: PolicyEngine
    """The sets that are enforced."""
    shadows: tuple[Shadow, ...]
    """The sets that are only observed, or warn."""
    people: Mapping[str, Person]
    operator_roles: Roles
    """Built in and of its own: role → permissions."""
    names: Names
    """Every name of every person."""
    rota: Rota
    """Who holds roles when, with the overrides as last committed."""
    running_in: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Agent → the runtimes whose documents say that it runs there."""
    known_prices: KnownPrices = field(default_factory=dict)
    """Of providers' models whose documents give none."""
    largest_window: int = 0
    """The most that any target of a model holds, in tokens; 0 where there is none."""
    pins: Pins = NO_PINS
    """Which definitions of upstream tools are trusted; kept when documents are applied."""
    changed_caps: Mapping[str, ChangedCap] = field(default_factory=dict)
    """Budget → the cap that a person put in place of the documents'; kept likewise."""

    def trust(self, tool: ToolContract) -> Trusted | Distrusted:
        """Say under which definition a tool may be called, or why it may not."""
        if tool.upstream is None:
            return Trusted(None)
        return trust(self.pins, tool.upstream, tool.offered_as, tool.pin)

    def permissions_of(self, person: str) -> Permissions | None:
        """Return what a person's document lets them do; None if no document is in force."""
        document = self.people.get(person)
        if document is None:
            return None
        assigned = (Assigned(one.role, frozenset(one.teams)) for one in document.operates)
        return permissions_of(assigned, self.operator_roles)

    def proofs_of(self, person: str) -> frozenset[str]:
        """Return the digests of what a person may prove themselves with now."""
        document = self.people.get(person)
        if document is None:
            return frozenset()
        keys = (key_proof(key) for key in document.ssh_keys)
        known = (one for one in document.oidc if self._is_of_people(one.issuer))
        return frozenset(keys) | {subject_proof(one.issuer, one.subject) for one in known}

    def person_at(self, issuer: str, subject: str) -> str | None:
        """Return the one person that an issuer knows by a subject; None: none, or several."""
        if not self._is_of_people(issuer):
            return None
        found = [
            name
            for name, person in self.people.items()
            if any(one.issuer == issuer and one.subject == subject for one in person.oidc)
        ]
        return found[0] if len(found) == 1 else None

    def _is_of_people(self, issuer: str) -> bool:
        document = self.issuers.get(issuer)
        return document is not None and document.of != "workloads"

    def roles_of(self, person: str, *, owner: bool, at: int) -> frozenset[str]:
        """Return the roles a person holds at a time: as a member, on call, or as themselves.

        A role nobody defined falls to the plane's owner. To decide by it, ask `rota.now(tx)`.
        """
        held = self.rota.roles_of(person, owner=owner, at=at)
        return held | {OWNER_ROLE} if owner else held

    def seen_in(self, teams: frozenset[str] | None) -> Catalogue:
        """Return the catalogue with the agents of some teams only; None: of every team."""
        if teams is None:
            return self
        seen = {name: one for name, one in self.agents.items() if one.contract.owner in teams}
        return replace(self, agents=seen)

    def reached_by(self, agent: str) -> tuple[str, ...]:
        """Return every logical model that may answer an agent's calls: those that its contract
        names, then those that documents lead on to.
        """
        governed = self.agents.get(agent)
        routing = governed.contract.model_routing if governed else None

        def find(name: str) -> LogicalModel | None:
            model = self.models.get(name)
            return model.document if model else None

        return reached(routing.models, find) if routing else ()

    def team_of(self, agent: str) -> str:
        """Return the team that owns an agent, or an empty text if no contract is in force."""
        governed = self.agents.get(agent)
        return governed.contract.owner if governed else ""

    def runtimes_of(self, agent: str) -> tuple[str, ...]:
        """Return the runtimes whose documents say that an agent runs there."""
        return self.running_in.get(agent, ())

    def redaction_of(self, agent: str) -> RedactionLevel:
        """Return how much personal data is kept from an agent and its records."""
        governed = self.agents.get(agent)
        return governed.contract.logging.pii_redaction if governed else "strict"

    def known_role(self, name: str) -> str:
        """Return a role by name, or the owner's where no such role is defined."""
        return name if name in self.roles or name.startswith(PERSON_ROLE) else OWNER_ROLE


def build_catalogue(
    standing: Mapping[Key, InForce],
    stages: Mapping[str, Stage] = NO_STAGES,
    known: KnownPrices = NO_PRICES,
) -> Catalogue:
    """Compile what is in force; raise `Invalid` for a policy or schema that can't be used.

    A policy set without a stage is enforced; `known` are prices that no document gives.
    """
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
    providers = {old.name: one for old, one in _of(standing, Provider)}
    models = {
        old.name: governed
        for old, one in _of(standing, LogicalModel)
        if (governed := govern_model(one, providers, known)) is not None
    }
    runtimes = {old.name: one for old, one in _of(standing, Runtime)}
    files = check_set((old.name, policy.text) for old, policy in _of(standing, Policy))
    roles = {old.name: one for old, one in _of(standing, Role)}
    schedules = {old.name: one for old, one in _of(standing, Schedule)}
    population = Population(
        [agent_facts(agent.contract, agent.version) for agent in agents.values()],
        [
            *(tool_facts(tool.contract) for tool in tools.values()),
            *(facts for model in models.values() for facts in model_facts(model, models)),
            *store_facts(agent.contract for agent in agents.values()),
        ],
    )
    budgets = tuple(one for _, one in _of(standing, Budget))
    staged = [file for file in files if stages.get(file.name, "enforce") != "enforce"]
    enforced = [file for file in files if file not in staged]
    policies = {
        file.name: GovernedPolicy(
            file, old.path, old.version, old.digest, stages.get(file.name, "enforce")
        )
        for file, (old, _) in zip(files, _of(standing, Policy), strict=True)
    }
    return Catalogue(
        agents=agents,
        tools=tools,
        functions=name_functions(tools),
        models=models,
        largest_window=max(
            (target.model.context_window for one in models.values() for target in one.targets),
            default=0,
        ),
        upstreams={old.name: one for old, one in _of(standing, Upstream)},
        providers=providers,
        issuers={old.name: one for old, one in _of(standing, Issuer)},
        roles=roles,
        escalations={old.name: one for old, one in _of(standing, Escalation)},
        schedules=schedules,
        risks={old.name: one for old, one in _of(standing, RiskClass)},
        webhooks={old.name: one for old, one in _of(standing, Webhook)},
        channels={old.name: one for old, one in _of(standing, Channel)},
        runtimes=runtimes,
        questions={old.name: one for old, one in _of(standing, Question)},
        budgets=budgets,
        caps=CapIndex(agents, budgets, models.keys()),
        responding={one.name: compile_responses(one) for one in budgets},
        breakers=tuple(one for _, one in _of(standing, Breaker)),
        rates=tuple(one for _, one in _of(standing, Rate)),
        policies=policies,
        policies_digest=sets_digest(
            (name, one.digest, one.stage) for name, one in policies.items()
        ),
        engine=PolicyEngine(enforced, population),
        shadows=tuple(
            Shadow(file.name, stages[file.name], PolicyEngine([*enforced, file], population))
            for file in staged
        ),
        people={old.name: one for old, one in _of(standing, Person)},
        operator_roles={
            **BUILT_IN_ROLES,
            **{old.name: frozenset(one.permissions) for old, one in _of(standing, OperatorRole)},
        },
        names=gather_names(one for _, one in _of(standing, Person)),
        rota=compile_rota(roles, schedules),
        running_in=_running_in(runtimes.values()),
        known_prices=known,
    )


class CatalogueView:
    """The catalogue in force now; `replace` swaps it once an apply is durable."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.now = catalogue

    def replace(self, catalogue: Catalogue) -> None:
        """Put a new catalogue in force for every decision from here on; what people set stays."""
        rota = catalogue.rota.overridden(self.now.rota.standing)
        self.now = replace(
            catalogue, pins=self.now.pins, rota=rota, changed_caps=self.now.changed_caps
        )

    def override(self, standing: tuple[Override, ...]) -> None:
        """Let these overrides count, and no others, from here on."""
        self.now = replace(self.now, rota=self.now.rota.overridden(standing))

    def change_caps(self, changed: Mapping[str, ChangedCap]) -> None:
        """Let these caps hold in place of the documents', and no others, from here on."""
        self.now = replace(self.now, changed_caps=changed)

    def pin(self, pins: Pins) -> None:
        """Trust these definitions, and no others, from here on."""
        self.now = replace(self.now, pins=pins)


def _of(standing: Mapping[Key, InForce], kind: type[Kind]) -> list[tuple[InForce, Kind]]:
    return [(old, old.document) for old in standing.values() if isinstance(old.document, kind)]


def _running_in(runtimes: Iterable[Runtime]) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for runtime in runtimes:
        for agent in dict.fromkeys(one.agent for one in runtime.agents):
            found[agent] = (*found.get(agent, ()), runtime.name)
    return found


def _compile_tool(old: InForce, contract: ToolContract) -> GovernedTool:
    return GovernedTool(
        contract,
        old.digest,
        _compile(contract, "input_schema", contract.input_schema),
        _compile(contract, "output_schema", contract.output_schema),
        tuple((rule.argument, compile_pattern(rule.pattern), rule.why) for rule in contract.never),
        old.text,
    )


def _compile(contract: ToolContract, field: str, schema: dict[str, Any] | None) -> Check | None:
    if schema is None:
        return None
    try:
        return compile_schema(schema, "arguments" if field == "input_schema" else "result")
    except Invalid as error:
        raise Invalid(
            f"tool {contract.name!r}: {field} is {error.message}",
            remedy="correct the schema and apply again; nothing was changed",
        ) from error
