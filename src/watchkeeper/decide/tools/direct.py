"""Upstreams that verify tokens by themselves, and what of them an agent may use that way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from watchkeeper.core.errors import Forbidden, Invalid
from watchkeeper.decide.catalogue import Catalogue, GovernedTool
from watchkeeper.decide.gates.contract import may_use
from watchkeeper.decide.gates.identity import identity_gate, tool_use
from watchkeeper.decide.gates.kill import kill_gate
from watchkeeper.decide.model import Action, Progress
from watchkeeper.decide.replay.rehearsal import RehearsalFacts
from watchkeeper.identity.model import RunFacts
from watchkeeper.identity.scope import TokenScope
from watchkeeper.kill.model import LockInForce
from watchkeeper.policy.model import Question

_KNOWN = frozenset({"environment", "on_behalf_of", "proven", "approvals", "amount_micros"})
"""What policies may read of a call that nobody has made yet; amounts are tried at every line."""


def direct_tools(
    catalogue: Catalogue,
    locks: Sequence[LockInForce],
    run: RunFacts,
    resource: str,
    scope: TokenScope,
) -> tuple[str, list[str]]:
    """Return the audience of an upstream that verifies by itself, and the tools to be had there:
    those that no gate refuses whatever their arguments, and that need no person.

    Raises `Invalid` (`invalid_target`) if no such upstream is declared, and `Forbidden`
    (`invalid_scope`) if nothing of it is left for the agent.
    """
    found = [
        one
        for one in catalogue.upstreams.values()
        if one.direct_audience is not None and resource in (one.url, one.direct_audience)
    ]
    if not found:
        raise Invalid(
            "no upstream of that resource verifies tokens by itself",
            code="invalid_target",
            rule="identity/direct",
            remedy="name an upstream's URL whose document has direct_audience",
        )
    upstream, governed = found[0], catalogue.agents[run.agent]
    tools = []
    for name, asks in governed.tools.items():
        tool = catalogue.tools.get(name)
        if tool is None or tool.contract.upstream != upstream.name or asks:
            continue
        use = tool_use(catalogue, name)
        asked = tool.contract.approval is not None or tool.contract.risk == "critical"
        wanted = not asked and scope.admits(use) and not scope.counted(use)
        if wanted and _is_open(catalogue, locks, run, tool) and _is_free(catalogue, run, tool):
            tools.append(name)
    if not tools:
        raise Forbidden(
            f"nothing of {upstream.name} is left for this token without a person's decision",
            code="invalid_scope",
            rule="identity/direct",
        )
    return str(upstream.direct_audience), tools


def _is_open(
    catalogue: Catalogue, locks: Sequence[LockInForce], run: RunFacts, tool: GovernedTool
) -> bool:
    """Tell whether identity, locks and contract let the run use a tool at all."""
    name = tool.contract.name
    action, facts = Action("tool", name, {}), RehearsalFacts(0, catalogue, run, locks)
    return (
        identity_gate(action, facts, Progress()) is None
        and kill_gate(action, facts, Progress()) is None
        and may_use(name, catalogue, catalogue.agents[run.agent], Progress()) is None
    )


def _is_free(catalogue: Catalogue, run: RunFacts, tool: GovernedTool) -> bool:
    """Tell whether the policies permit every call of a tool, and ask and oblige nobody."""
    question = Question(
        run.agent,
        "use_tool",
        "Tool",
        tool.contract.name,
        run.environment,
        on_behalf_of=run.on_behalf_of or "",
        proven=run.on_behalf_of_proof is not None,
    )
    found = catalogue.engine.slice_of(question)
    if found is None or not set(found.reads) <= _KNOWN:
        return False
    lines = found.reads.get("amount_micros", ())
    if lines is None:
        return False
    amounts = {0, *(line + beside for line in lines for beside in (-1, 0, 1))}
    answers = (
        catalogue.engine.ask(replace(question, amount_micros=amount))
        for amount in (amounts if tool.contract.amount_usd is not None else (0,))
    )
    return all(answer.verdict == "permit" and not answer.duties for answer in answers)
