"""The gates of the decision path; each refuses with the id of its rule, or lets pass."""

from __future__ import annotations

from collections.abc import Iterator

from watchkeeper.approvals.model import Standing
from watchkeeper.budgets.model import Cap
from watchkeeper.core.errors import Invalid
from watchkeeper.core.money import dollars, micros_from_number
from watchkeeper.decide.catalogue import Catalogue, GovernedAgent, GovernedTool
from watchkeeper.decide.facts import Facts
from watchkeeper.decide.model import RISKS, Action, Progress, Requirement, Ruling, action_digest
from watchkeeper.kill.model import Covered
from watchkeeper.kill.rules import covering
from watchkeeper.policy.model import Obligation, Question
from watchkeeper.wire.budgets import Measure
from watchkeeper.wire.decisions import Risk

LONGEST_CHECKED = 20_000
"""Characters of an argument that a never-pattern is tried on; longer ones are refused."""


def identity_gate(action: Action, facts: Facts, progress: Progress) -> Ruling | None:
    """The run is of a known agent and acts for whom its contract says."""
    agent = facts.catalogue.agents.get(facts.run.agent)
    if agent is None:
        return _deny(
            "identity/contract",
            f"no contract is in force for agent {facts.run.agent!r}",
            "apply its contract",
        )
    if agent.contract.identity.mode == "on_behalf_of" and not facts.run.on_behalf_of:
        return _deny(
            f"contract/{facts.run.agent}/identity",
            "its contract lets it act only on somebody's behalf, and the run names nobody",
            "open the run with on_behalf_of",
        )
    return None


def kill_gate(action: Action, facts: Facts, progress: Progress) -> Ruling | None:
    """No lock in force covers what the action touches."""
    agent = facts.catalogue.agents[facts.run.agent]
    lock = covering(
        facts.locks,
        Covered(
            facts.run.run,
            facts.run.agent,
            agent.contract.owner,
            action.name if action.kind == "tool" else None,
            action.name if action.kind == "model" else None,
        ),
    )
    if lock is not None:
        verb = "killed" if lock.mode == "kill" else "paused"
        return _deny(
            f"lock/{lock.lock}",
            f"{lock.target.kind} {lock.target.name} is {verb}: {lock.reason}",
            "nothing until a person lifts the lock; do not retry",
        )
    if facts.run.state == "stopped":
        return _deny(
            "lock/run-stopped",
            f"run {facts.run.run} was stopped by a kill",
            "open a new run",
        )
    return None


def contract_gate(action: Action, facts: Facts, progress: Progress) -> Ruling | None:
    """The contract names it, the arguments fit the tool, and nothing on its never-list occurs."""
    agent = facts.catalogue.agents[facts.run.agent]
    name, contract = facts.run.agent, agent.contract
    if facts.run.environment not in contract.environments:
        return _deny(
            f"contract/{name}/environments",
            f"its contract does not cover environment {facts.run.environment!r}",
            f"environments: {', '.join(contract.environments)}",
        )
    target = "model"
    if action.kind == "model":
        refusal = _check_model(action, facts.catalogue, agent)
    else:
        refusal = _check_tool(action, facts.catalogue, agent, progress)
        tool = facts.catalogue.tools.get(action.name)
        target = tool.digest if tool else ""
    if refusal is not None:
        return refusal
    progress.digest = action_digest(
        action,
        run=facts.run.run,
        agent=name,
        contract=agent.digest,
        on_behalf_of=facts.run.on_behalf_of,
        target=target,
    )
    return None


def _check_model(action: Action, catalogue: Catalogue, agent: GovernedAgent) -> Ruling | None:
    routing = agent.contract.model_routing
    models = routing.models if routing else ()
    if action.name not in models:
        return _deny(
            f"contract/{agent.contract.name}/models",
            f"model {action.name!r} is not among the models of its contract",
            f"models: {', '.join(models) or 'none'}",
        )
    if action.name not in catalogue.models:
        return _deny(
            f"contract/{agent.contract.name}/models",
            f"model {action.name!r} has no provider with a known price",
            "apply a model document for it, with its provider",
        )
    return None


def _check_tool(
    action: Action, catalogue: Catalogue, agent: GovernedAgent, progress: Progress
) -> Ruling | None:
    name = agent.contract.name
    if action.name not in agent.tools:
        return _deny(
            f"contract/{name}/tools",
            f"tool {action.name!r} is not on its allowlist",
            f"tools: {', '.join(agent.tools) or 'none'}",
        )
    tool = catalogue.tools.get(action.name)
    if tool is None:
        return _deny(
            f"contract/{name}/tools",
            f"tool {action.name!r} has no tool contract in force",
            "apply a tool document for it",
        )
    if agent.contract.autonomy != "act" and tool.contract.access == "write":
        return _deny(
            f"contract/{name}/autonomy",
            f"its autonomy is {agent.contract.autonomy!r}, and {action.name!r} changes something",
            "propose the action to a person instead",
        )
    problem = tool.check(dict(action.arguments))
    if problem is not None:
        return _deny(
            f"tool/{action.name}/schema",
            f"the arguments don't fit: {problem}",
            "correct the arguments and call again",
        )
    return _check_never(action, tool) or _extract(action, tool, progress)


def _check_never(action: Action, tool: GovernedTool) -> Ruling | None:
    for argument, pattern, why in tool.never:
        text = str(action.arguments.get(argument, ""))
        if len(text) > LONGEST_CHECKED or pattern.search(text):
            return _deny(f"tool/{action.name}/never", f"{argument}: {why}", "nothing: never")
    return None


def _extract(action: Action, tool: GovernedTool, progress: Progress) -> Ruling | None:
    """Read the amount and the business object out of the arguments."""
    contract = tool.contract
    if contract.amount_usd is not None and contract.amount_usd in action.arguments:
        try:
            progress.amount_micros = micros_from_number(action.arguments[contract.amount_usd])
        except Invalid as error:
            return _deny(
                f"tool/{action.name}/amount",
                f"{contract.amount_usd}: {error.message}",
                "send a plain number of dollars",
            )
    if contract.business_object is not None:
        found = action.arguments.get(contract.business_object.id)
        if found is not None:
            progress.object_kind = contract.business_object.kind
            progress.object_id = str(found)[:200]
    return None


def policy_gate(action: Action, facts: Facts, progress: Progress) -> Ruling | None:
    """No policy forbids it; if one asks for approval, that is noted for the approval gate."""
    question = Question(
        agent=facts.run.agent,
        action="use_tool" if action.kind == "tool" else "call_model",
        resource_kind="Tool" if action.kind == "tool" else "Model",
        resource=action.name,
        environment=facts.run.environment,
        amount_micros=progress.amount_micros,
        estimated_tokens=action.estimated_input_tokens + action.estimated_output_tokens,
    )
    answer = facts.catalogue.engine.ask(question)
    if answer.verdict == "deny":
        return _deny(f"policy/{answer.policy}", answer.message, None)
    progress.permit_rule = f"policy/{answer.policy}"
    progress.permit_reason = answer.message
    if answer.verdict == "ask":
        progress.requirement = _from_policy(answer.asks, action, facts)
    return None


def approval_gate(action: Action, facts: Facts, progress: Progress) -> Ruling | None:
    """What needs a person has been approved, exactly as it stands; otherwise it is held.

    A critical tool needs approval whatever contract and policies say.
    """
    requirement = progress.requirement or _from_contract(action, facts)
    if requirement is None:
        return None
    approved = facts.approved(progress.digest)
    if approved is None:
        refused = _refused_before(facts.standing(progress.digest))
        if refused is not None:
            return refused
        return Ruling(
            "hold",
            requirement.rule,
            f"held for {requirement.role}: {requirement.rule_text}",
            "wait for the decision, then send exactly the same call again",
            requirement,
        )
    progress.grant, progress.request = approved.grant, approved.request
    progress.approved_by = approved.by
    progress.permit_rule = f"approval/{approved.request}"
    progress.permit_reason = f"approved by {', '.join(approved.by)}"
    return None


def _refused_before(standing: Standing | None) -> Ruling | None:
    """A person's no, or a deadline, holds for the same call in the same run."""
    if standing is None:
        return None
    rule = f"approval/{standing.request}"
    instead = "something else; the same call stays refused in this run"
    match standing.state:
        case "denied":
            said = f": {standing.reason}" if standing.reason else ""
            return _deny(rule, f"rejected by {standing.decided_by}{said}", instead)
        case "expired":
            return _deny(rule, "nobody decided in time, and the declared outcome is deny", instead)
        case "revoked":
            return _deny(rule, "the request was revoked by a kill", instead)
        case _:
            return None


def _from_policy(asks: tuple[Obligation, ...], action: Action, facts: Facts) -> Requirement:
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


def _from_contract(action: Action, facts: Facts) -> Requirement | None:
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
    first = role or contract.approvals.role or (policy.levels[0].role if policy else contract.owner)
    first = catalogue.known_role(first)
    later = [(level.role, level.after_seconds) for level in policy.levels[1:]] if policy else []
    return Requirement(
        role=first,
        levels=((first, 0), *((catalogue.known_role(role), after) for role, after in later)),
        remind_every_seconds=policy.remind_every_seconds if policy else None,
        sla_seconds=sla_seconds or contract.approvals.sla_seconds,
        risk=risk,
        rule=rule,
        rule_text=text,
    )


def _tool_risk(action: Action, catalogue: Catalogue) -> Risk:
    tool = catalogue.tools.get(action.name) if action.kind == "tool" else None
    return tool.contract.risk if tool else "low"


def budget_gate(action: Action, facts: Facts, progress: Progress) -> Ruling | None:
    """Every budget over it has room; what it may cost is held in all of them, or in none."""
    if action.kind == "tool":
        amounts = {"tool_calls": 1}
    else:
        tokens = action.estimated_input_tokens + action.estimated_output_tokens
        amounts = {
            "input_tokens": action.estimated_input_tokens,
            "output_tokens": action.estimated_output_tokens,
            "tokens": tokens,
            "spend": action.estimated_cost_micros,
        }
    caps = [cap for cap in caps_over(facts.catalogue, facts.run.agent, facts.run.run)
            if cap.measure in amounts]  # fmt: skip
    refused = facts.reserve(caps, amounts)
    if refused is None:
        return None
    return _deny(f"budget/{refused.budget}", refused.sentence, refused.remedy)


def caps_over(catalogue: Catalogue, agent: str, run: str) -> Iterator[Cap]:
    """Yield every cap over an agent's run: its contract's, then the applied budgets'."""
    governed = catalogue.agents.get(agent)
    if governed is None:
        return
    ceilings = governed.contract.budgets
    per_run: tuple[tuple[Measure, int | None], ...] = (
        ("tool_calls", ceilings.max_steps),
        ("input_tokens", ceilings.max_input_tokens),
        ("output_tokens", ceilings.max_output_tokens),
        ("spend", ceilings.max_cost_usd_per_run),
    )
    for measure, cap in per_run:
        if cap is not None:
            yield Cap(f"run/{run}/{measure}", f"run/{run}", "run", measure, cap)
    scopes = {"all", f"team/{governed.contract.owner}", f"agent/{agent}"}
    for budget in catalogue.budgets:
        if budget.scope in scopes:
            limits: tuple[tuple[Measure, int | None], ...] = (
                ("tool_calls", budget.limits.tool_calls),
                ("input_tokens", budget.limits.input_tokens),
                ("output_tokens", budget.limits.output_tokens),
                ("tokens", budget.limits.tokens),
                ("spend", budget.limits.spend_usd),
            )
            for measure, cap in limits:
                if cap is not None:
                    yield Cap(
                        f"{budget.scope}/{budget.period}/{measure}",
                        budget.scope,
                        budget.period,
                        measure,
                        cap,
                    )


def describe(action: Action, progress: Progress) -> str:
    """Say in words what will happen: the verb, the target, the amount."""
    verb = action.name.rpartition(".")[2].replace("_", " ")
    words = f"call model {action.name}" if action.kind == "model" else verb
    if progress.amount_micros:
        words += f" of {dollars(progress.amount_micros)}"
    if progress.object_id:
        words += f" on {progress.object_kind} {progress.object_id}"
    return words


def _deny(rule: str, reason: str, instead: str | None) -> Ruling:
    return Ruling("deny", rule, reason, instead)
