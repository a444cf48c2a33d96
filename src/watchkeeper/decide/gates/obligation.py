"""What a permit obliges its performer to, and whether that can be done at all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from watchkeeper.decide.facts import Facts
from watchkeeper.decide.gates.contract import may_call
from watchkeeper.decide.gates.identity import identity_gate
from watchkeeper.decide.gates.kill import kill_gate
from watchkeeper.decide.model import Action, Progress, Ruling, deny
from watchkeeper.policy.model import PolicyAnswer
from watchkeeper.wire.decisions import Duty, DutyKind

_DOES: dict[DutyKind, str] = {
    "route": "another model to answer",
    "redact": "data to be taken out of the result",
    "max_output_tokens": "fewer tokens to be generated",
    "max_seconds": "it to end in time",
    "compose": "answers of several models to be compared",
    "strip": "tools of the provider to be taken out of the call",
}


def unfulfilled(action: Action, duties: Iterable[Duty]) -> Ruling | None:
    """Refuse what asks for something that whoever performs it does not say it can do."""
    for duty in duties:
        if duty.kind not in action.fulfils:
            return deny(
                duty.policy if "/" in duty.policy else f"policy/{duty.policy}",
                f"it asks for {_DOES[duty.kind]}, which the caller does not say it can do",
                f"ask again with `fulfils: [{duty.kind}]` if you carry that out",
            )
    return None


def led_by_policy(name: str, duties: Iterable[Duty]) -> tuple[Duty | None, Ruling | None]:
    """Return the duty that leads a call of a model elsewhere; refuse where two lead apart."""
    leading = [duty for duty in duties if duty.kind == "route" and duty.model != name]
    models = {duty.model for duty in leading}
    if len(models) > 1:
        return None, deny(
            f"policy/{leading[0].policy}",
            f"policies lead the call to different models: {', '.join(sorted(map(str, models)))}",
            "correct the policies: a call is led to one model",
        )
    return (leading[0] if leading else None), None


def permitted_there(
    action: Action, model: str, facts: Facts, progress: Progress, *, implied: bool
) -> tuple[PolicyAnswer | None, Ruling | None]:
    """Ask whether a call may go to another model than it names: locks, the token, the contract
    and the policies are asked again. Returns what policies oblige to there, or the refusal.

    `implied`: documents lead there, so the contract need not name the model.
    """
    led = replace(action, name=model)
    refused = identity_gate(led, facts, Progress()) or kill_gate(led, facts, Progress())
    if refused is None:
        agent = facts.catalogue.agents[facts.run.agent]
        refused = may_call(model, facts.catalogue, agent, implied=implied)
    if refused is not None or progress.question is None:
        return None, refused
    there = facts.catalogue.engine.ask(replace(progress.question, resource=model))
    if there.verdict == "deny":
        return None, deny(f"policy/{there.policy}", there.message, None)
    again, refused = led_by_policy(model, there.duties)
    if refused is None and again is not None:
        refused = deny(
            f"policy/{again.policy}",
            f"it leads on to {again.model} what is led to {model}",
            "correct the policies: a call is led to one model",
        )
    return there, refused
