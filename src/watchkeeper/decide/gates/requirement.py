"""Whose approval an action needs, by when, and who is asked next."""

from __future__ import annotations

from dataclasses import replace

from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.facts import Facts
from watchkeeper.decide.model import RISKS, Action, Requirement
from watchkeeper.policy.model import Obligation
from watchkeeper.registry.watch import EscalationLevel
from watchkeeper.wire.decisions import Risk


def require_by_policy(asks: tuple[Obligation, ...], action: Action, facts: Facts) -> Requirement:
    """Build one requirement from every policy that asks: the strictest names the role."""
    first = asks[0]
    risks = [_tool_risk(action, facts.catalogue), *(ask.risk for ask in asks if ask.risk)]
    slas = [ask.sla_seconds for ask in asks if ask.sla_seconds]
    text = first.message or f"policy {first.policy} asks for approval"
    if len(asks) > 1:
        text += f" (also: {', '.join(ask.policy for ask in asks[1:])})"
    return _requirement(
        facts,
        role=first.role,
        escalation=first.escalation,
        sla_seconds=min(slas) if slas else None,
        risk=max(risks, key=RISKS.index),
        rule=f"policy/{first.policy}",
        text=text,
    )


def require_by_tool(action: Action, facts: Facts) -> Requirement | None:
    """Return what the tool's own contract asks for every call, or None."""
    tool = facts.catalogue.tools.get(action.name) if action.kind == "tool" else None
    gate = tool.contract.approval if tool else None
    if gate is None:
        return None
    return _requirement(
        facts,
        role=gate.role,
        escalation=gate.escalation,
        sla_seconds=gate.sla_seconds,
        risk=_tool_risk(action, facts.catalogue),
        rule=f"tool/{action.name}/approval",
        text=f"every call of {action.name} needs {gate.role}",
    )


def strictest(policy: Requirement | None, tool: Requirement | None) -> Requirement | None:
    """Return one requirement for what policies and the tool's contract ask: the stricter of each.

    The role that the other's escalation would come to later is asked; where neither escalates
    to the other, the tool's, which is for every call of it.
    """
    if policy is None or tool is None:
        return policy or tool
    outranks = policy.role in {role for role, _ in tool.levels[1:]}
    chosen, other = (policy, tool) if outranks or policy.role == tool.role else (tool, policy)
    return replace(
        chosen,
        sla_seconds=min(policy.sla_seconds, tool.sla_seconds),
        risk=max(policy.risk, tool.risk, key=RISKS.index),
        rule_text=f"{chosen.rule_text} (also: {other.rule})",
    )


def require_by_contract(action: Action, facts: Facts) -> Requirement | None:
    """Return what risk class or contract ask for, or None where neither does."""
    if action.kind != "tool":
        return None
    agent = facts.catalogue.agents[facts.run.agent]
    risk = _tool_risk(action, facts.catalogue)
    if risk == "critical":
        rule, text = f"tool/{action.name}/risk", "a critical action always needs approval"
    elif agent.tools[action.name]:
        rule = f"contract/{facts.run.agent}/requires_approval"
        text = f"the contract asks for approval of {action.name}"
    else:
        return None
    return _requirement(
        facts, role=None, escalation=None, sla_seconds=None, risk=risk, rule=rule, text=text
    )


def _requirement(
    facts: Facts,
    *,
    role: str | None,
    escalation: str | None,
    sla_seconds: int | None,
    risk: Risk,
    rule: str,
    text: str,
) -> Requirement:
    catalogue = facts.catalogue
    contract = catalogue.agents[facts.run.agent].contract
    policy = catalogue.escalations.get(escalation or contract.approvals.escalation or "")
    asked = [(asked_by(level), level.after_seconds) for level in policy.levels] if policy else []
    first = role or contract.approvals.role or (asked[0][0] if asked else contract.owner)
    first = catalogue.known_role(first)
    later = asked[1:]
    return Requirement(
        role=first,
        levels=((first, 0), *((catalogue.known_role(role), after) for role, after in later)),
        remind_every_seconds=policy.remind_every_seconds if policy else None,
        sla_seconds=sla_seconds or contract.approvals.sla_seconds,
        risk=risk,
        rule=rule,
        rule_text=text,
    )


def asked_by(level: EscalationLevel) -> str:
    """Return the role that a level asks; a person is asked as the role `person/NAME`."""
    return level.role or f"person/{level.person}"


def _tool_risk(action: Action, catalogue: Catalogue) -> Risk:
    tool = catalogue.tools.get(action.name) if action.kind == "tool" else None
    return tool.contract.risk if tool else "low"
