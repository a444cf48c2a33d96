"""Does the contract name it, and do the arguments fit the tool?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from watchkeeper.core.errors import Invalid
from watchkeeper.core.money import micros_from_number
from watchkeeper.decide.catalogue import Catalogue, GovernedAgent, GovernedTool
from watchkeeper.decide.facts import Facts
from watchkeeper.decide.fitting import check_of, result_can_be_checked
from watchkeeper.decide.gates.data import check_data
from watchkeeper.decide.model import Action, Progress, Ruling, deny
from watchkeeper.tools.pins.model import Distrusted
from watchkeeper.wire.decisions import LARGEST_USAGE
from watchkeeper.wire.digests import action_digest

PROMPT = "prompt_template"
"""The argument of a model call that holds the SHA-256 of its system message's text."""
WRITES_CACHE = "writes_cache"
"""The argument of a model call that says whether its provider may keep its input."""
LIKELY = "input_tokens"
"""The argument of a model call that holds what its input probably comes to, in tokens; what it
may cost is estimated from a bound that is seldom reached."""


def contract_gate(action: Action, facts: Facts, progress: Progress) -> Ruling | None:
    """The contract names it, the arguments fit the tool, and nothing on its never-list occurs."""
    agent = facts.catalogue.agents[facts.run.agent]
    name, contract = facts.run.agent, agent.contract
    if facts.run.environment not in contract.environments:
        return deny(
            f"contract/{name}/environments",
            f"its contract does not cover environment {facts.run.environment!r}",
            f"environments: {', '.join(contract.environments)}",
        )
    target = "model"
    if action.kind == "model":
        refusal = may_call(action.name, facts.catalogue, agent) or _check_context(action, agent)
    else:
        refusal = _check_tool(action, facts.catalogue, agent, progress)
        tool = facts.catalogue.tools.get(action.name)
        target = f"{tool.digest} {progress.definition or 'unseen'}" if tool else ""
    if refusal is not None:
        return refusal
    progress.contract, progress.target = agent.digest, target
    progress.digest = action_digest(
        agent=name,
        arguments=action.written,
        contract=agent.digest,
        kind=action.kind,
        name=action.name,
        on_behalf_of=facts.run.on_behalf_of,
        run=facts.run.run,
        target=target,
    )
    return None


def may_call(
    name: str, catalogue: Catalogue, agent: GovernedAgent, *, implied: bool = False
) -> Ruling | None:
    """The contract names the model, which is described and has a target where it may be.

    `implied`: a document leads there, so the contract need not name it.
    """
    routing = agent.contract.model_routing
    if not implied and (routing is None or not routing.names(name)):
        models = routing.models if routing else ()
        return deny(
            f"contract/{agent.contract.name}/models",
            f"model {name!r} is not among the models of its contract",
            f"models: {', '.join(models) or 'none'}",
        )
    model = catalogue.models.get(name)
    if model is None:
        return deny(
            f"contract/{agent.contract.name}/models",
            f"model {name!r} has no provider that is described",
            "apply a model document for it, with its provider",
        )
    if not agent.contract.regions:
        return None
    regions = [target.provider.region for target in model.targets]
    inside = [region for region in regions if region in agent.contract.regions]
    # which of several targets qualify is for the routing gate
    return _check_region(agent, f"model {name!r}", (inside or regions)[0]) if regions else None


def _check_region(agent: GovernedAgent, what: str, region: str) -> Ruling | None:
    """What it uses is where its contract lets it be; a contract without regions does not ask."""
    contract = agent.contract
    if not contract.regions or region in contract.regions:
        return None
    return deny(
        f"contract/{contract.name}/regions",
        f"{what} is in region {region!r}, and its contract covers other regions only",
        f"regions: {', '.join(contract.regions)}",
    )


def _check_context(action: Action, agent: GovernedAgent) -> Ruling | None:
    """The call is no longer than the contract lets it be, and its prompt was reviewed."""
    context, name = agent.contract.context, agent.contract.name
    most = agent.contract.budgets.max_input_tokens_per_call
    if most is not None and action.estimate.input_tokens > most:
        return deny(
            f"contract/{name}/max_input_tokens_per_call",
            f"the call may hold {action.estimate.input_tokens:,} input tokens, and its contract "
            f"lets one call hold {most:,}",
            "send less of the conversation",
        )
    tokens = likely_input(action) + action.estimate.output_tokens
    if context.max_window_tokens is not None and tokens > context.max_window_tokens:
        return deny(
            f"contract/{name}/context",
            f"the call may hold {tokens:,} tokens, and its contract lets one call hold "
            f"{context.max_window_tokens:,}",
            "send less of the conversation, or ask for fewer output tokens",
        )
    templates = context.prompt_templates
    # what the gateway puts there is of the text that goes out
    prompt = action.arguments.get(PROMPT)
    if templates and not any(prompt == one.digest for one in templates):
        return deny(
            f"contract/{name}/prompt_templates",
            "its system message is not, word for word, a prompt that its contract names",
            f"prompts: {', '.join(one.name for one in templates)}",
        )
    return None


def writes_cache(action: Action) -> bool:
    """Tell whether a provider may keep a call's input for later ones, which may cost more.

    In Anthropic's protocol it keeps what the call marks; elsewhere it does so by itself.
    """
    return action.endpoint != "messages" or action.arguments.get(WRITES_CACHE) is not False


def likely_input(action: Action) -> int:
    """Return how many tokens an action's input probably holds, for windows and policies."""
    said = action.arguments.get(LIKELY) if action.kind == "model" else None
    if isinstance(said, int) and not isinstance(said, bool) and said >= 0:
        return min(said, LARGEST_USAGE)
    return action.estimate.input_tokens


def may_use(
    name: str,
    catalogue: Catalogue,
    agent: GovernedAgent,
    progress: Progress,
    *,
    hosted: bool = False,
) -> Ruling | None:
    """The contract names the tool, which is where it may be and as it was pinned.

    `hosted`: it runs at a model's provider, which shows no definition to pin.
    """
    contract = agent.contract.name
    if name not in agent.tools:
        return deny(
            f"contract/{contract}/tools",
            f"tool {name!r} is not on its allowlist",
            f"tools: {', '.join(agent.tools) or 'none'}",
        )
    tool = catalogue.tools.get(name)
    if tool is None:
        return deny(
            f"contract/{contract}/tools",
            f"tool {name!r} has no tool contract in force",
            "apply a tool document for it",
        )
    elsewhere = _check_region(agent, f"tool {name!r}", tool.contract.region)
    if elsewhere is not None:
        return elsewhere
    if agent.contract.autonomy != "act" and tool.contract.access == "write":
        return deny(
            f"contract/{contract}/autonomy",
            f"its autonomy is {agent.contract.autonomy!r}, and {name!r} changes something",
            "propose the action to a person instead",
        )
    if hosted:
        return None
    trusted = catalogue.trust(tool.contract)
    if isinstance(trusted, Distrusted):
        return deny(f"tool/{name}/{trusted.rule}", trusted.reason, trusted.instead)
    progress.definition = trusted.digest
    return None


def _check_tool(
    action: Action, catalogue: Catalogue, agent: GovernedAgent, progress: Progress
) -> Ruling | None:
    refused = may_use(action.name, catalogue, agent, progress)
    if refused is not None:
        return refused
    tool = catalogue.tools[action.name]
    return (
        check_arguments(catalogue, tool, action.arguments)
        or check_data(action, tool.contract.data.taken)
        or _extract(action, tool, progress)
    )


def check_arguments(
    catalogue: Catalogue, tool: GovernedTool, arguments: Mapping[str, Any]
) -> Ruling | None:
    """The arguments fit the tool's schema, and nothing on its never-list occurs in them."""
    name = tool.contract.name
    check = check_of(catalogue, tool, "arguments")
    problem = check(dict(arguments)) if check else None
    if problem is not None:
        return deny(
            f"tool/{name}/schema",
            f"the arguments don't fit: {problem}",
            "correct the arguments and call again",
        )
    if not result_can_be_checked(catalogue, tool):
        return deny(
            f"tool/{name}/output",
            "its server declares an output schema that can't be used, so no result would pass",
            "another tool, until its contract has an output_schema or the server's is mended",
        )
    for argument, occurs, why in tool.never:
        if occurs(arguments.get(argument, "")):
            return deny(f"tool/{name}/never", f"{argument}: {why}", "nothing: never")
    return None


def _extract(action: Action, tool: GovernedTool, progress: Progress) -> Ruling | None:
    """Read the amount and the business object out of the arguments."""
    contract = tool.contract
    if contract.amount_usd is not None:
        # an amount that is left out or below zero would pass under every threshold
        try:
            if contract.amount_usd not in action.arguments:
                raise Invalid("the amount is not stated")
            progress.amount_micros = micros_from_number(action.arguments[contract.amount_usd])
            if progress.amount_micros < 0:
                raise Invalid("an amount of money moved is not below zero")
        except Invalid as error:
            return deny(
                f"tool/{action.name}/amount",
                f"{contract.amount_usd}: {error.message}",
                "send a plain number of dollars",
            )
    if contract.business_object is not None:
        # as it may be kept: without what a secret would be
        found = action.contents.arguments.get(contract.business_object.id)
        if found is not None:
            progress.object_kind = contract.business_object.kind
            progress.object_id = str(found)[:200]
    return None
