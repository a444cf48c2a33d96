"""Is a breaker of the agent open?"""

from __future__ import annotations

from watchkeeper.breakers import rules
from watchkeeper.breakers.model import Standing
from watchkeeper.core.clock import utc_text
from watchkeeper.decide.budgets.breakers import RULE, document_of
from watchkeeper.decide.facts import Facts
from watchkeeper.decide.gates.rate import limit_of
from watchkeeper.decide.model import Action, Progress, Ruling, deny
from watchkeeper.registry.spending import Breaker


def breaker_gate(action: Action, facts: Facts, progress: Progress) -> Ruling | None:
    """No breaker of the agent is open, or this call is its probe, or it may pass at a rate.

    The probe is taken only where the call is permitted in the end: a call that a later gate
    refuses or holds shows nothing.
    """
    for standing in facts.breakers():
        document = document_of(facts.catalogue, standing)
        if document is None:
            continue
        probes = rules.probes_at(
            standing, cool_down_seconds=document.cool_down_seconds, reset=document.reset
        )
        cooled = probes is not None and probes <= facts.now
        if cooled and rules.suits(standing, kind=action.kind, digest=progress.digest):
            progress.probes = (*progress.probes, standing)
        elif document.throttle is not None:
            about = f"agent {standing.agent}, whose breaker {document.name} is open,"
            limit = limit_of(f"{RULE}{standing.breaker}", about, document.throttle)
            progress.limits = (*progress.limits, limit)
        else:
            return deny(
                f"{RULE}{standing.breaker}",
                _why(standing, document),
                _instead(standing, document, probes, facts.now),
            )
    return None


def _why(standing: Standing, document: Breaker) -> str:
    since = utc_text(standing.opened_at or 0)
    return (
        f"breaker {document.name} of agent {standing.agent} is {standing.state} since {since} "
        f"({standing.detector}): {standing.reason}"
    )


def _instead(standing: Standing, document: Breaker, probes: int | None, now: int) -> str:
    person = f"a person with `lift` closes it: `watchkeeper breakers reset {standing.breaker}`"
    if standing.state == "half-open":
        return f"nothing until the probe under way went well, or {person}; do not retry"
    if probes is None:
        return f"nothing until {person}; do not retry"
    if probes > now:
        return f"nothing until one call may pass as a probe, from {utc_text(probes)} on, or " + (
            f"{person}; do not retry"
        )
    kind = "a model call" if standing.detector == "cost" else "another call than the one repeated"
    return f"{kind} may pass as a probe now, or {person}; do not retry"
