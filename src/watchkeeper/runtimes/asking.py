"""Interrupts in the approvals queue: what is asked of whom, when a governed run waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from watchkeeper.approvals import service as approvals
from watchkeeper.approvals.coverage import Coverage
from watchkeeper.approvals.model import NewRequest
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.digest import canonical, digest
from watchkeeper.core.errors import Invalid
from watchkeeper.core.text import make_safe
from watchkeeper.decide.catalogue import Catalogue, GovernedAgent
from watchkeeper.decide.contents import examine, kept_words, without_secrets
from watchkeeper.decide.gates.approval import approval_gate
from watchkeeper.decide.gates.contract import contract_gate
from watchkeeper.decide.gates.policy import policy_gate
from watchkeeper.decide.model import RISKS, Action, Progress, Requirement, describe
from watchkeeper.decide.path import decide
from watchkeeper.decide.people.directory import PeopleInForce
from watchkeeper.decide.replay.rehearsal import RehearsalFacts
from watchkeeper.identity.model import RunFacts
from watchkeeper.kill.service import current_epoch
from watchkeeper.oncall.model import EscalationPolicy, Level
from watchkeeper.registry.runtimes import Runtime
from watchkeeper.runtimes.model import Interrupt
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import DutyKind, Risk
from watchkeeper.wire.quorum import merge

TOOL = "runtime.interrupt"
"""Stands for the tool in a request about none, or about several."""
RULE = "runtime/interrupt"
_RISK: Risk = "medium"
"""Of what no contract describes."""
_GATES = (contract_gate, policy_gate, approval_gate)
_LONGEST_TEXT = 2000
_LARGEST = 32 * 1024
"""Bytes of arguments that people are shown; more than that can only be rejected."""
_LONGEST_ID = 500


@dataclass(frozen=True, slots=True)
class _Asked:
    """What one of the tools of an interrupt needs, and would do."""

    requirement: Requirement
    words: str | None = None
    amount_micros: int | None = None
    object_kind: str | None = None
    object_id: str | None = None


def can_be_named(interrupt: Interrupt) -> bool:
    """Tell whether an interrupt's id can be kept, and so the interrupt be asked about."""
    return 0 < len(interrupt.id) <= _LONGEST_ID and interrupt.id.isprintable()


def is_too_large(interrupt: Interrupt) -> bool:
    """Tell whether an interrupt is too large to be shown whole, or has no form to be kept in."""
    tools = [interrupt.tool, [[name, dict(one)] for name, one in interrupt.also]]
    try:
        return max(len(canonical(dict(interrupt.arguments))), len(canonical(tools))) > _LARGEST
    except (Invalid, ValueError, RecursionError):
        return True


def open_request(
    tx: Transaction,
    catalogue: Catalogue,
    coverage: Coverage,
    document: Runtime,
    run: RunFacts,
    interrupt: Interrupt,
) -> str:
    """Open the request that an interrupt of one of our runs waits for; return its id."""
    governed = catalogue.agents[run.agent]
    contents = examine(dict(interrupt.arguments))
    asked = _requirement(tx, catalogue, governed, run, interrupt)
    requirement = asked.requirement
    name = catalogue.functions.tool(interrupt.tool or "")
    tool = catalogue.tools.get(name)
    said = str(make_safe(without_secrets(interrupt.text), limit=_LONGEST_TEXT))
    asks = f"{asked.words or said or 'go on'} (waits in runtime {document.name})"
    shown = {
        "arguments": contents.arguments,
        "interrupt": interrupt.id,
        "run": run.run,
        "runtime": document.name,
        "tool": interrupt.tool,
        "runtime_run": interrupt.run.id,
    }
    sla = requirement.sla_seconds
    if interrupt.expires_at is not None:
        sla = max(1, min(sla, -(-(interrupt.expires_at - tx.now) // MICROSECONDS)))
    return approvals.open_request(
        tx,
        NewRequest(
            kind="interrupt",
            decision="",
            agent=run.agent,
            agent_version=run.version,
            run=run.run,
            tool=str(make_safe(name, limit=120)) or TOOL,
            digest=digest("watchkeeper/interrupt/v1", shown),
            canonical=canonical(shown).decode(),
            arguments=shown,
            asks=asks,
            told=kept_words(asks, catalogue.redaction_of(run.agent)),
            risk=requirement.risk,
            escalation=requirement.escalation,
            groups=requirement.groups,
            deciding=requirement.deciding,
            sla_seconds=sla,
            rule=requirement.rule,
            rule_text="; ".join(filter(None, (requirement.rule_text, _limits(interrupt)))),
            blast_radius=tool.contract.blast_radius if tool else "Not declared.",
            rollback=tool.contract.rollback if tool else "No rollback path is declared.",
            reversible=tool.contract.reversible if tool else None,
            epoch=current_epoch(tx),
            on_behalf_of=run.on_behalf_of,
            goal=run.goal,
            object_kind=asked.object_kind or run.object_kind,
            object_id=asked.object_id or run.object_id,
            amount_micros=asked.amount_micros,
            explanation=said or None,
        ),
        coverage,
        PeopleInForce(tx, catalogue),
    )


def _limits(interrupt: Interrupt) -> str:
    """Say what answers its runtime takes that cannot be given here."""
    words = {"edit": "edited arguments", "respond": "a written answer"}
    beside = " or ".join(words[one] for one in interrupt.choices if one in words)
    if "approve" not in interrupt.choices:
        wants = f", which wants {beside}" if beside else ""
        return f"it can only be rejected here: no approval can be carried to its runtime{wants}"
    if beside:
        return f"here it is approved as it is or rejected: {beside} can be given in its runtime"
    return ""


def _requirement(
    tx: Transaction,
    catalogue: Catalogue,
    governed: GovernedAgent,
    run: RunFacts,
    interrupt: Interrupt,
) -> _Asked:
    """Return whose approval an interrupt needs: all that any of its tools would ask for."""
    tools: Sequence[tuple[str, Mapping[str, Any]]] = interrupt.also
    if not tools and interrupt.tool is not None:
        tools = ((interrupt.tool, interrupt.arguments),)
    known = ((catalogue.functions.tool(name), arguments) for name, arguments in tools)
    found = [_asked_of(tx, catalogue, governed, run, *one) for one in known]
    if not found:
        return _Asked(_of_owner(catalogue, governed, "no contract describes what it asks"))
    first = max(found, key=lambda one: RISKS.index(one.requirement.risk))
    if len(found) == 1:
        return first
    rest = [one for one in found if one is not first]
    groups = merge(first.requirement.groups, *(one.requirement.groups for one in rest))
    sla = min(one.requirement.sla_seconds for one in found)
    return _Asked(
        replace(first.requirement, groups=groups, sla_seconds=sla),
        "; ".join(one.words or "" for one in found)[:_LONGEST_TEXT],
        sum(one.amount_micros or 0 for one in found) or None,
    )


def _asked_of(
    tx: Transaction,
    catalogue: Catalogue,
    governed: GovernedAgent,
    run: RunFacts,
    tool: str,
    arguments: Mapping[str, Any],
) -> _Asked:
    """Return what one call of a tool would need if it were made here."""
    known = catalogue.tools.get(tool)
    if known is None:
        words = f"{make_safe(tool, limit=120)} (no tool of that name is under contract)"
        why = f"no contract describes {make_safe(tool, limit=120)}"
        return _Asked(_of_owner(catalogue, governed, why), words)
    action = Action("tool", tool, dict(arguments), fulfils=get_args(DutyKind))
    try:
        ruling, progress = decide(
            action, RehearsalFacts(tx.now, catalogue, run), gates=_GATES, progress=Progress()
        )
    except Invalid as error:
        why = f"its arguments can't be checked: {error.message}"
        return _Asked(_of_owner(catalogue, governed, why, known.contract.risk), tool)
    words = describe(action, progress, known.contract.display)
    if ruling.requirement is not None:
        requirement = ruling.requirement
    else:
        why = f"nobody is asked for {tool}"
        if ruling.verdict == "deny":
            why = f"a call of {tool} would be refused here: {ruling.reason}"
        requirement = _of_owner(catalogue, governed, why, known.contract.risk)
    return _Asked(
        requirement,
        words,
        progress.amount_micros or None,
        progress.object_kind,
        progress.object_id,
    )


def _of_owner(
    catalogue: Catalogue, governed: GovernedAgent, why: str, risk: Risk = _RISK
) -> Requirement:
    """Return that the people are asked who answer for the agent."""
    role = catalogue.known_role(governed.contract.owner)
    why = str(make_safe(why, limit=300))
    return Requirement(
        escalation=EscalationPolicy((Level(role),)),
        groups=((role, 1),),
        sla_seconds=governed.contract.approvals.sla_seconds,
        risk=risk,
        rule=RULE,
        rule_text=f"an interrupt waits for a person; {why}, so {role} is asked",
    )
