"""What a permit obliges its performer to, and whether that can be done at all."""

from __future__ import annotations

from dataclasses import replace

from watchkeeper.decide.facts import Facts
from watchkeeper.decide.gates.contract import contract_gate
from watchkeeper.decide.gates.identity import identity_gate
from watchkeeper.decide.gates.kill import kill_gate
from watchkeeper.decide.model import Action, Progress, Ruling, deny
from watchkeeper.decide.pricing import dearest
from watchkeeper.policy.model import PolicyAnswer, Question
from watchkeeper.wire.decisions import Duty, DutyKind, Usage

_DOES: dict[DutyKind, str] = {
    "route": "another model to answer",
    "redact": "data to be taken out of the result",
    "max_output_tokens": "fewer tokens to be generated",
}


def take_on(
    action: Action, question: Question, answer: PolicyAnswer, facts: Facts, progress: Progress
) -> tuple[PolicyAnswer, Ruling | None]:
    """Note what a permit obliges to; refuse what nobody could carry out.

    A call that is led to another model must be permitted there too: by locks, the token, the
    contract and the policies, whose approvals are added to those of the answer.
    """
    duties = answer.duties
    for duty in duties:
        if duty.kind not in action.fulfils:
            return answer, deny(
                f"policy/{duty.policy}",
                f"it asks for {_DOES[duty.kind]}, which the caller does not say it can do",
                f"ask again with `fulfils: [{duty.kind}]` if you carry that out",
            )
    target, refused = _target(action, duties)
    if refused is None and target is not None:
        led = replace(action, name=target.model or "")
        beside = Progress()
        for gate in (identity_gate, kill_gate, contract_gate):
            refused = refused or gate(led, facts, beside)
        if refused is not None:
            return answer, _led(refused, target)
        there = facts.catalogue.engine.ask(replace(question, resource=led.name))
        if there.verdict == "deny":
            return answer, _led(deny(f"policy/{there.policy}", there.message, None), target)
        asks = (*answer.asks, *(ask for ask in there.asks if ask not in answer.asks))
        duties = (*duties, *(duty for duty in there.duties if duty not in duties))
        answer = replace(answer, verdict="ask" if asks else answer.verdict, asks=asks)
        again, refused = _target(led, duties)
        if again is not None and again.model != target.model:
            refused = deny(
                f"policy/{again.policy}",
                f"it leads on to {again.model} what {target.policy} leads to {target.model}",
                "correct the policies: a call is led to one model",
            )
    if refused is not None:
        return answer, refused
    progress.obligations = duties
    progress.model = target.model if target is not None else None
    progress.estimate = _estimate(action, duties, facts, progress)
    return answer, None


def _target(action: Action, duties: tuple[Duty, ...]) -> tuple[Duty | None, Ruling | None]:
    """Return the duty that leads the call elsewhere; refuse where two lead apart."""
    leading = [duty for duty in duties if duty.kind == "route" and duty.model != action.name]
    models = {duty.model for duty in leading}
    if len(models) > 1:
        return None, deny(
            f"policy/{leading[0].policy}",
            f"policies lead the call to different models: {', '.join(sorted(map(str, models)))}",
            "correct the policies: a call is led to one model",
        )
    return (leading[0] if leading else None), None


def _led(refused: Ruling, duty: Duty) -> Ruling:
    return replace(
        refused, reason=f"policy {duty.policy} leads the call to {duty.model}: {refused.reason}"
    )


def _estimate(
    action: Action, duties: tuple[Duty, ...], facts: Facts, progress: Progress
) -> Usage | None:
    """Return what a call may cost at most where duties change that."""
    limits = [duty.max_output_tokens for duty in duties if duty.max_output_tokens is not None]
    model = facts.catalogue.models.get(progress.model or action.name)
    if action.kind != "model" or model is None or not (limits or progress.model):
        return None
    asked = action.estimate
    output = min((asked.output_tokens, *limits))
    return Usage(
        input_tokens=asked.input_tokens,
        output_tokens=output,
        cost_micros=dearest(model.targets, asked.input_tokens, output) or 0,
    )
