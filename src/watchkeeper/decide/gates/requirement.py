"""Whose approval an action needs, by when, and who is asked next.

Whatever asks for approval asks on its own: every policy that obliges, the tool's contract, the
agent's contract, the risk class. What comes of them together is at least what each asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from watchkeeper.approvals.model import GRANT_SECONDS
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.facts import Facts
from watchkeeper.decide.model import RISKS, Action, Progress, Requirement
from watchkeeper.oncall.model import EscalationPolicy, Level
from watchkeeper.registry.contract import AgentContract
from watchkeeper.registry.documents import ToolGate
from watchkeeper.registry.watch import Escalation, EscalationLevel, RiskClass
from watchkeeper.wire.decisions import Risk
from watchkeeper.wire.quorum import Groups, merge, read_quorum
from watchkeeper.wire.requests import Deciding

TOP_UP_RISK: Risk = "medium"
"""The risk class by which a top-up is asked for: it lets more happen, within contract and
policies."""


@dataclass(frozen=True, slots=True)
class _Ask:
    """What one source asks for."""

    rule: str
    text: str
    role: str | None = None
    """Absent: as the contract says, then the risk class, then the escalation, then the owner."""
    quorum: Groups = ()
    escalation: str | None = None
    sla_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class _Route:
    """An ask with its names resolved."""

    ask: _Ask
    groups: Groups
    """The first group is of the role that the policy's levels stand in for."""
    policy: EscalationPolicy

    @property
    def later(self) -> frozenset[str]:
        """The roles that are asked after the first."""
        return frozenset(level.role for level in self.policy.levels[1:] if level.role)


def require(action: Action, facts: Facts, progress: Progress) -> Requirement | None:
    """Return the approval that an action needs, or None.

    A critical action needs one whatever contract and policies say.
    """
    catalogue = facts.catalogue
    risk = risk_of(action, catalogue, progress)
    risks = catalogue.risks.get(risk)
    tool = catalogue.tools.get(action.name) if action.kind == "tool" else None
    gate = tool.contract.approval if tool else None
    asks = [
        *_asked_by_tool(action.name, gate),
        *_asked_by_policies(progress),
        *_asked_of_hosted(facts, progress),
    ]
    if not asks:
        asks = _asked_otherwise(action, facts, risk, risks)
    if not asks:
        return None
    contract = catalogue.agents[facts.run.agent].contract
    return _requirement(asks, catalogue, contract, risk)


def require_top_up(
    facts: Facts,
    *,
    rule: str,
    text: str,
    role: str | None,
    escalation: str | None,
    sla_seconds: int | None,
) -> Requirement:
    """Return whose approval a top-up of a budget needs: as its response says, then as usual."""
    ask = _Ask(rule, text, role, escalation=escalation, sla_seconds=sla_seconds)
    contract = facts.catalogue.agents[facts.run.agent].contract
    return _requirement([ask], facts.catalogue, contract, TOP_UP_RISK)


def _requirement(
    asks: Sequence[_Ask], catalogue: Catalogue, contract: AgentContract, risk: Risk
) -> Requirement:
    risks = catalogue.risks.get(risk)
    routes = _absorb([_route(ask, catalogue, contract, risks) for ask in _in_order(asks)])
    first = routes[0]
    quorum = _known(catalogue, read_quorum(risks.quorum)) if risks and risks.quorum else ()
    slas = [ask.sla_seconds for ask in asks if ask.sla_seconds]
    sla = min(slas) if slas else contract.approvals.sla_seconds
    others = [ask.rule for ask in asks if ask is not first.ask]
    return Requirement(
        escalation=first.policy,
        groups=merge(*(route.groups for route in routes), quorum),
        sla_seconds=min(sla, risks.sla_seconds) if risks and risks.sla_seconds else sla,
        risk=risk,
        rule=first.ask.rule,
        rule_text=first.ask.text + (f" (also: {', '.join(others)})" if others else ""),
        deciding=_deciding(risks),
        grant_seconds=(risks and risks.grant_seconds) or GRANT_SECONDS,
        # a contract lets time decide what is of low risk, and never anything else
        timeout_outcome=contract.approvals.timeout if risk == "low" else "deny",
    )


def risk_of(action: Action, catalogue: Catalogue, progress: Progress) -> Risk:
    """Return an action's risk class: the highest that its tool or any policy says."""
    tools = [action.name] if action.kind == "tool" else progress.hosted
    risk: Risk = "low"
    for name in tools:
        if name in catalogue.tools:
            risk = max(risk, catalogue.tools[name].contract.risk, key=RISKS.index)
    for ask in (*progress.asks, *progress.hosted_asks):
        if ask.risk is not None:
            risk = max(risk, ask.risk, key=RISKS.index)
    return risk


def asked_by(level: EscalationLevel) -> str:
    """Return the role that a level asks; a person is asked as the role `person/NAME`.

    A level that only tells a channel asks nobody: its role is empty.
    """
    return level.role or (f"person/{level.person}" if level.person else "")


def _asked_by_policies(progress: Progress) -> Iterable[_Ask]:
    """Yield what each policy asks, the strictest first."""
    for ask in (*progress.asks, *progress.hosted_asks):
        yield _Ask(
            f"policy/{ask.policy}",
            ask.message or f"policy {ask.policy} asks for approval",
            ask.role,
            ask.quorum,
            ask.escalation,
            ask.sla_seconds,
        )


def _asked_by_tool(name: str, gate: ToolGate | None) -> Iterable[_Ask]:
    """Yield what the tool's own contract asks for every call."""
    if gate is not None:
        yield _Ask(
            f"tool/{name}/approval",
            f"every call of {name} needs {gate.quorum or gate.role}",
            gate.role,
            read_quorum(gate.quorum) if gate.quorum else (),
            gate.escalation,
            gate.sla_seconds,
        )


def _asked_of_hosted(facts: Facts, progress: Progress) -> Iterable[_Ask]:
    """Yield what tools that run at the provider, and the contract for them, ask for."""
    agent = facts.run.agent
    for name in progress.hosted:
        yield from _asked_by_tool(name, facts.catalogue.tools[name].contract.approval)
        if facts.catalogue.agents[agent].tools[name]:
            rule = f"contract/{agent}/requires_approval"
            yield _Ask(rule, f"the contract asks for approval of {name}")


def _asked_otherwise(
    action: Action, facts: Facts, risk: Risk, risks: RiskClass | None
) -> list[_Ask]:
    """Return what risk class or the agent's contract ask where nothing else does."""
    if risk == "critical":
        rule = f"tool/{action.name}/risk" if action.kind == "tool" else "risk/critical"
        return [_Ask(rule, "a critical action always needs approval")]
    if risks is not None and risks.approval == "always":
        return [_Ask(f"risk/{risk}/approval", f"every {risk} risk needs approval")]
    if action.kind == "tool" and facts.catalogue.agents[facts.run.agent].tools[action.name]:
        rule = f"contract/{facts.run.agent}/requires_approval"
        return [_Ask(rule, f"the contract asks for approval of {action.name}")]
    return []


def _in_order(asks: Sequence[_Ask]) -> list[_Ask]:
    """Put first what names the rule: of one role a policy, for its words; otherwise the tool."""
    tool = asks[0]
    same = [ask for ask in asks[1:] if ask.role == tool.role]
    rest = [ask for ask in asks if ask not in same]
    return [*same, *rest] if tool.rule.startswith("tool/") else list(asks)


def _route(
    ask: _Ask, catalogue: Catalogue, contract: AgentContract, risks: RiskClass | None
) -> _Route:
    name = ask.escalation or contract.approvals.escalation or (risks and risks.escalation) or ""
    policy = catalogue.escalations.get(name)
    asked = asked_by(policy.levels[0]) if policy else ""
    role = ask.role or contract.approvals.role or (risks and risks.role) or asked or contract.owner
    role = catalogue.known_role(role)
    groups = _known(catalogue, ask.quorum)
    ordered = merge(((role, 1),), groups)
    return _Route(ask, ordered, _policy(policy, role, catalogue))


def _policy(policy: Escalation | None, first: str, catalogue: Catalogue) -> EscalationPolicy:
    """Return an escalation policy with the role that is asked first."""
    if policy is None:
        return EscalationPolicy((Level(first),))
    later = (
        Level(catalogue.known_role(role) if role else "", level.after_seconds, level.channel)
        for level in policy.levels[1:]
        for role in (asked_by(level),)
    )
    return EscalationPolicy(
        (Level(first, 0, policy.levels[0].channel), *later),
        policy.remind_every_seconds,
        policy.name,
        policy.repeat,
        policy.repeat_after_seconds,
        policy.acknowledge_seconds,
        policy.skip_if_empty,
    )


def _absorb(routes: list[_Route]) -> list[_Route]:
    """Leave out what a role asks that another ask names and that its own escalation comes to.

    The higher role's approval is the lower one's too, unless fewer of it are asked for.
    """
    left = list(routes)
    for low in routes:
        _, count = low.groups[0]
        for high in left:
            if high is low or low not in left or len(low.groups) > 1:
                continue
            enough = dict(high.groups)
            if any(enough.get(one, 0) >= count for one in low.later):
                left.remove(low)
                break
    return left


def _known(catalogue: Catalogue, groups: Groups) -> Groups:
    """Return a quorum with roles that nobody defined put to the owner, together."""
    known: dict[str, int] = {}
    for role, count in groups:
        name = catalogue.known_role(role)
        known[name] = known.get(name, 0) + count
    return tuple(known.items())


def _deciding(risks: RiskClass | None) -> Deciding:
    if risks is None:
        return Deciding()
    return Deciding(
        signed=risks.signed,
        reason=risks.reason,
        view_seconds=risks.view_seconds,
        read_to_end=risks.read_to_end,
        break_glass=risks.break_glass,
    )
