"""Which policies speak of one action, the ones that do not decide it among them."""

from __future__ import annotations

from functools import cache

from watchkeeper.policy.engine import BASE, PolicyEngine, request_of
from watchkeeper.policy.model import Question
from watchkeeper.policy.slices import Parsed
from watchkeeper.policy.source import Rule, check_file


def speaking(engine: PolicyEngine, question: Question) -> tuple[Rule, ...]:
    """Return every policy whose scope and conditions hold for a question, in order; of a model
    that is at several places, at any of them.

    Cedar names only those that decide: permits are asked alone, and forbids over a permit of
    everything. Parses the policies of the slice again, so it is for people, not for the path.
    """
    found = engine.slice_of(question)
    if found is None:
        return ()
    request = request_of(question, found, question.approvals)
    permits = Parsed([rule for rule in found.rules if rule.permits])
    forbids = Parsed([rule for rule in found.rules if not rule.permits], _everything())
    said = {
        rule.annotated.policy
        for parsed in (permits, forbids)
        for _, entities in engine.population.views((question.resource_kind, question.resource))
        for rule in parsed.evaluate(request, entities).reasons
    }
    return tuple(rule for rule in found.rules if rule.annotated.policy in said)


@cache
def _everything() -> Parsed:
    """Return a permit of everything."""
    return Parsed(check_file("base", BASE).rules)
