"""Opening the approval request that a held action waits for."""

from __future__ import annotations

from watchkeeper.approvals import service as approvals
from watchkeeper.approvals.coverage import Coverage
from watchkeeper.approvals.model import NewRequest
from watchkeeper.decide.contents import kept_words
from watchkeeper.decide.live import LiveFacts
from watchkeeper.decide.model import Action, Progress, Ruling, describe
from watchkeeper.decide.people.directory import PeopleInForce
from watchkeeper.identity.model import RunFacts
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.digests import action_digest
from watchkeeper.wire.requests import Covers


def open_request(
    tx: Transaction,
    decision: str,
    facts: LiveFacts,
    action: Action,
    ruling: Ruling,
    progress: Progress,
    coverage: Coverage,
) -> str:
    """Open the request that a held action waits for, as its requirement says; return its id."""
    run, catalogue, requirement = facts.run, facts.catalogue, ruling.requirement
    assert requirement is not None
    tool = catalogue.tools.get(action.name) if action.kind == "tool" else None
    asks = describe(action, progress, tool.contract.display if tool else None)
    return approvals.open_request(
        tx,
        NewRequest(
            decision=decision,
            agent=run.agent,
            agent_version=run.version,
            run=run.run,
            tool=action.name,
            digest=progress.digest,
            call_digest=action.call_digest,
            covers=_covers(action, progress, run),
            canonical=action.contents.text,
            arguments=action.contents.arguments,
            asks=asks,
            told=kept_words(asks, catalogue.redaction_of(run.agent)),
            risk=requirement.risk,
            escalation=requirement.escalation,
            groups=requirement.groups,
            deciding=requirement.deciding,
            grant_seconds=requirement.grant_seconds,
            timeout_outcome=requirement.timeout_outcome,
            sla_seconds=requirement.sla_seconds,
            rule=requirement.rule,
            rule_text=requirement.rule_text,
            blast_radius=tool.contract.blast_radius if tool else "Not declared.",
            rollback=tool.contract.rollback if tool else "No rollback path is declared.",
            reversible=tool.contract.reversible if tool else None,
            epoch=facts.epoch,
            on_behalf_of=run.on_behalf_of,
            goal=run.goal,
            object_kind=progress.object_kind or run.object_kind,
            object_id=progress.object_id or run.object_id,
            amount_micros=progress.amount_micros or None,
            explanation=action.explanation,
        ),
        coverage,
        PeopleInForce(tx, catalogue),
    )


def _covers(action: Action, progress: Progress, run: RunFacts) -> Covers:
    shown = action_digest(
        agent=run.agent,
        arguments=action.contents.arguments,
        contract=progress.contract,
        kind=action.kind,
        name=action.name,
        on_behalf_of=run.on_behalf_of,
        run=run.run,
        target=progress.target,
    )
    return Covers(
        kind=action.kind,
        contract=progress.contract,
        target=progress.target,
        whole=shown == progress.digest,
    )
