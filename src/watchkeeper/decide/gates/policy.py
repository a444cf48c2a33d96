"""Do the policies permit it, forbid it, or ask for a person?"""

from __future__ import annotations

from dataclasses import replace

from watchkeeper.decide.facts import Facts
from watchkeeper.decide.gates.contract import likely_input
from watchkeeper.decide.gates.obligation import unfulfilled
from watchkeeper.decide.gates.staged import ask_staged, reads_model
from watchkeeper.decide.model import Action, Progress, Ruling, deny
from watchkeeper.policy.model import Question


def policy_gate(action: Action, facts: Facts, progress: Progress) -> Ruling | None:
    """No policy forbids it; if one asks for approval, that is noted for the approval gate."""
    question = Question(
        agent=facts.run.agent,
        action="use_tool" if action.kind == "tool" else "call_model",
        resource_kind="Tool" if action.kind == "tool" else "Model",
        resource=action.name,
        environment=facts.run.environment,
        amount_micros=progress.amount_micros,
        input_tokens=likely_input(action),
        output_tokens=action.estimate.output_tokens,
        on_behalf_of=facts.run.on_behalf_of or "",
        proven=facts.run.on_behalf_of_proof is not None,
        data_classes=frozenset(action.contents.classes),
        object_kind=progress.object_kind or facts.run.object_kind or "",
        object_id=progress.object_id or facts.run.object_id or "",
    )
    if reads_model(facts.catalogue, question):
        question = replace(question, model=facts.answered_by() or "")
    progress.question = question
    answer = progress.policy = facts.catalogue.engine.ask(question)
    if facts.catalogue.shadows:
        progress.would = tuple(ask_staged(facts.catalogue, question, answer))
    if answer.verdict == "deny":
        return deny(f"policy/{answer.policy}", answer.message, None)
    refused = unfulfilled(action, answer.duties)
    if refused is not None:
        return refused
    progress.permit_rule = f"policy/{answer.policy}"
    progress.permit_reason = answer.message
    progress.asks = answer.asks
    progress.obligations = answer.duties
    return None
