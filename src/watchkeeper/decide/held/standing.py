"""Standing approvals against what is in force: proposing one, ending what changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, get_args

from watchkeeper.approvals import service as approvals
from watchkeeper.approvals.coverage import Coverage
from watchkeeper.approvals.model import NewRequest
from watchkeeper.approvals.rows import find
from watchkeeper.approvals.standing import proposing, rules
from watchkeeper.approvals.standing import service as standing
from watchkeeper.approvals.standing.model import StandingApproval, Terms
from watchkeeper.core.digest import canonical
from watchkeeper.core.errors import Conflict, Forbidden, Invalid
from watchkeeper.core.money import micros_from_number
from watchkeeper.decide.catalogue import Catalogue, GovernedTool
from watchkeeper.decide.contents import examine, kept_words
from watchkeeper.decide.facts import Facts
from watchkeeper.decide.gates.approval import approval_gate
from watchkeeper.decide.gates.contract import may_use
from watchkeeper.decide.gates.policy import policy_gate
from watchkeeper.decide.model import Action, Progress, Requirement, Ruling
from watchkeeper.decide.path import decide
from watchkeeper.decide.people.directory import PeopleInForce, lock_on_person
from watchkeeper.decide.replay.rehearsal import RehearsalFacts, run_at_rest
from watchkeeper.identity.model import RunFacts
from watchkeeper.kill.service import epoch_and_locks
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import DutyKind
from watchkeeper.wire.standing import ProposeStanding

_GATES = (policy_gate, approval_gate)


def subject_of(tx: Transaction, body: ProposeStanding) -> str:
    """Return the agent that a proposal is about; raise `NotFound` for an unknown request."""
    return str(find(tx, body.request).agent) if body.request else str(body.agent)


def propose_standing(
    tx: Transaction,
    catalogue: Catalogue,
    body: ProposeStanding,
    *,
    person: str,
    coverage: Coverage,
) -> str:
    """Open the request that decides a standing approval; return the standing approval's id.

    It is asked of whom one such action would be asked of now, and the proposer has no vote.
    The same proposal of the same person that still waits is the same. Raises `NotFound`;
    `Invalid` (`standing/scope`, `standing/not-needed`); `Forbidden` for what contract and
    policies refuse or a critical risk; `Conflict` (`too_many`).
    """
    source = find(tx, body.request) if body.request else None
    terms, tool = _terms(catalogue, body, source, person)
    requirement = _requirement(tx, catalogue, terms, tool)
    rules.check_risk(requirement.risk)
    rules.check_risk(tool.contract.risk)
    waiting = proposing.same_proposal(tx, terms)
    if waiting is not None:
        tx.silent("it was proposed before, and that is on record")
        return waiting
    proposing.check_count(tx, terms.agent, terms.tool)
    name = tx.new_id("std")
    asks = terms.words()
    shown = terms.shown()
    epoch, _ = epoch_and_locks(tx)
    kind = tool.contract.business_object
    request = approvals.open_request(
        tx,
        NewRequest(
            kind="standing",
            standing=name,
            proposed_by=person,
            decision="",
            agent=terms.agent,
            agent_version=terms.agent_version,
            run=name,
            tool=terms.tool,
            digest=terms.digest,
            canonical=canonical(shown).decode(),
            arguments=shown,
            asks=asks,
            told=kept_words(asks, catalogue.redaction_of(terms.agent)),
            risk=requirement.risk,
            escalation=requirement.escalation,
            groups=requirement.groups,
            # nobody alone lets others do without approval
            deciding=requirement.deciding.model_copy(update={"break_glass": False}),
            sla_seconds=requirement.sla_seconds,
            rule=requirement.rule,
            rule_text=f"one such action would be held: {requirement.rule_text}",
            blast_radius=tool.contract.blast_radius,
            rollback=f"`watchkeeper standing end {name}` ends it at once; what was done stays done",
            epoch=epoch,
            excluded=(person,),
            goal=terms.reason,
            object_kind=kind.kind if kind and kind.id in terms.pins else None,
            object_id=str(terms.pins[kind.id])[:200] if kind and kind.id in terms.pins else None,
            amount_micros=terms.total_micros,
        ),
        coverage=coverage,
        people=PeopleInForce(tx, catalogue),
    )
    proposing.add_proposal(
        tx, name, request, terms, risk=requirement.risk, groups=requirement.groups
    )
    return name


def end_changed(tx: Transaction, catalogue: Catalogue) -> int:
    """End what was agreed to for another version of an agent or tool; return how many."""
    ended = 0
    for row in standing.open_ones(tx):
        why = _changed(catalogue, row)
        if why is not None:
            ended += standing.end_row(tx, row, by="plane", why=why)
    return ended


def use_standing(
    tx: Transaction, run: RunFacts, progress: Progress, found: StandingApproval
) -> None:
    """Count a use of a standing approval; a request for the same action needs no answer more."""
    if not standing.use(tx, found.standing, progress.amount_micros):
        raise Conflict(
            f"standing approval {found.standing} was used up or ended just now",
            code="standing_used",
            remedy="send the call again",
        )
    standing.supersede_by(tx, found.standing, run=run.run, digest=progress.digest, by=found.by)


def end_outdated(tx: Transaction, facts: Facts, action: Action, progress: Progress) -> None:
    """End what stands for a tool that is defined otherwise since, or whose approvers could not
    approve it any more."""
    tool = facts.catalogue.tools.get(action.name) if action.kind == "tool" else None
    for one in facts.standing_approvals(action.name) if tool is not None else ():
        why = facts.why_void(one.standing)
        if lock_on_person(facts.locks, one.people) is not None:
            why = None  # it counts again once the lock is lifted
        if one.definition != progress.definition:
            why = f"the definition of {action.name} changed"
        if why is not None:
            row = standing.find_standing_approval(tx, one.standing)
            standing.end_row(tx, row, by="plane", why=why)


def _changed(catalogue: Catalogue, row: Row) -> str | None:
    agent, tool = catalogue.agents.get(row.agent), catalogue.tools.get(row.tool)
    if agent is None or (agent.digest, agent.version) != (row.contract, row.agent_version):
        return f"the contract of {row.agent} changed"
    if tool is None or tool.digest != row.tool_digest:
        return f"the contract of {row.tool} changed"
    if row.tool not in agent.tools:
        return f"the contract of {row.agent} names {row.tool} no more"
    return None


def _terms(
    catalogue: Catalogue, body: ProposeStanding, source: Row | None, person: str
) -> tuple[Terms, GovernedTool]:
    if source is not None and (source.kind or "action") != "action":
        raise Invalid(
            "that request asks for no action of an agent",
            where="request",
            rule="standing/scope",
            remedy="name the request of an action, or agent, tool and pins",
        )
    agent_name = source.agent if source is not None else str(body.agent)
    tool_name = source.tool if source is not None else str(body.tool)
    agent = catalogue.agents.get(agent_name)
    if agent is None:
        raise Invalid(
            f"no contract is in force for agent {agent_name!r:.80}",
            where="agent",
            rule="standing/scope",
            remedy="see `watchkeeper agents list`",
        )
    progress = Progress()
    refused = may_use(tool_name, catalogue, agent, progress)
    if refused is not None:
        raise _forbidden(refused)
    tool = catalogue.tools[tool_name]
    pins = dict(body.pins) if source is None else _pins_of(source, body.pin)
    found = examine(pins)
    if canonical(pins) != found.text.encode():
        raise Invalid(
            "a pin holds what looks like a secret, and pins are recorded",
            where="pins",
            rule="data/secret",
            remedy="pin another argument",
        )
    each, total = _money(body, source, tool, pins)
    terms = Terms(
        agent=agent_name,
        agent_version=agent.version,
        contract=agent.digest,
        tool=tool_name,
        tool_digest=tool.digest,
        definition=progress.definition,
        pins=pins,
        uses=body.uses,
        seconds=body.seconds,
        each_micros=each,
        total_micros=total,
        reason=body.reason,
        proposed_by=person,
    )
    rules.check_scope(terms, _arguments_of(tool), tool.contract.amount_usd)
    return terms, tool


def _pins_of(source: Row, names: tuple[str, ...]) -> dict[str, Any]:
    arguments: Mapping[str, Any] = json.loads(source.arguments)
    unknown = [name for name in names if name not in arguments]
    if unknown:
        raise Invalid(
            f"request {source.request} has no argument {unknown[0]!r:.60}",
            where="pin",
            rule="standing/scope",
            remedy=f"its arguments: {', '.join(sorted(arguments)) or 'none'}",
        )
    return {name: arguments[name] for name in names}


def _money(
    body: ProposeStanding, source: Row | None, tool: GovernedTool, pins: Mapping[str, Any]
) -> tuple[int | None, int | None]:
    """Return the caps: as given, else as pinned, else as in the request it is taken from."""
    amount = tool.contract.amount_usd
    each, total = body.each_micros, body.total_micros
    if amount is None:
        return each, total
    if each is None and amount in pins:
        each = micros_from_number(pins[amount])
    if each is None and source is not None:
        each = source.amount_micros
    if total is None and each is not None and amount in pins:
        total = each * body.uses
    return each, total


def _arguments_of(tool: GovernedTool) -> frozenset[str] | None:
    """Return every argument that a tool takes; None where its contract does not say."""
    schema = tool.contract.input_schema
    if schema is None or schema.get("additionalProperties") is not False:
        return None
    properties = schema.get("properties", {})
    return frozenset(properties) if isinstance(properties, dict) else None


def _requirement(
    tx: Transaction, catalogue: Catalogue, terms: Terms, tool: GovernedTool
) -> Requirement:
    """Return the approval that one such action would need now, of the largest amount."""
    run = run_at_rest(catalogue, terms.agent)
    extractor = tool.contract.business_object
    pinned = extractor is not None and extractor.id in terms.pins
    progress = Progress(
        amount_micros=terms.each_micros or 0,
        object_kind=extractor.kind if extractor and pinned else None,
        object_id=str(terms.pins[extractor.id])[:200] if extractor and pinned else None,
        definition=terms.definition,
        digest=terms.digest,
    )
    action = Action("tool", terms.tool, dict(terms.pins), fulfils=get_args(DutyKind))
    facts = RehearsalFacts(tx.now, catalogue, run)
    ruling, _ = decide(action, facts, gates=_GATES, progress=progress)
    if ruling.verdict == "deny":
        raise _forbidden(ruling)
    if ruling.requirement is None:
        raise Invalid(
            "nobody is asked for such an action, so nobody has to approve it beforehand",
            rule="standing/not-needed",
            remedy="see `watchkeeper policy explain` for what asks for approval",
        )
    return ruling.requirement


def _forbidden(ruling: Ruling) -> Forbidden:
    return Forbidden(
        f"such an action is refused: {ruling.reason}",
        rule=ruling.rule,
        remedy=f"what would be allowed: {ruling.allowed_instead or 'nothing'}",
    )
