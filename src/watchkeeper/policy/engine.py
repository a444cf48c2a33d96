"""Evaluating policies: parsed once, asked many times.

Cedar skips a `forbid` whose evaluation errs, which would open what it meant to close: any
error in an evaluation is a deny here, and so is an agent or a resource that is not in force.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import cedarpy

from watchkeeper.policy.model import Obligation, PolicyAnswer, Question
from watchkeeper.policy.population import Population
from watchkeeper.policy.reading import narrow
from watchkeeper.policy.slices import Slice, Slices
from watchkeeper.policy.source import Checked, Rule, check_file
from watchkeeper.wire.decisions import Duty, Risk

BASE = '@id("contract-allows")\n@message("the contract allows it and no policy forbids it")\n' \
    "permit(principal, action, resource);\n"  # fmt: skip
"""In force only while no applied policy is a permit: the contract's allowlist then permits."""

_MEMO_SIZE = 8192
_UNKNOWN = PolicyAnswer("deny", "error", "agent or resource is not in force")


class PolicyEngine:
    """An immutable set of policies with the entities they speak of."""

    def __init__(self, files: Sequence[Checked], population: Population) -> None:
        rules: list[Rule] = [rule for file in files for rule in file.rules]
        if not any(rule.permits for rule in rules):
            rules += check_file("base", BASE).rules
        self._rules = tuple(rules)
        self.population = population
        self._slices = Slices(self._rules, self.population)
        self._read = frozenset(name for rule in self._rules for name in rule.reads)
        self._memo: dict[tuple[Any, ...], PolicyAnswer] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all policies, in order."""
        return tuple(rule.annotated.policy for rule in self._rules)

    def slice_of(self, question: Question) -> Slice | None:
        """Return the policies that can matter; None where agent or resource is not in force."""
        return self._slices.find(
            question.agent, question.action, (question.resource_kind, question.resource)
        )

    def reads(self, question: Question, name: str) -> bool:
        """Tell whether a policy that can matter reads an attribute of the context."""
        found = self.slice_of(question) if name in self._read else None
        return found is not None and name in found.reads

    def ask(self, question: Question) -> PolicyAnswer:
        """Return permit, deny, or the approvals that would turn the answer into a permit."""
        found = self.slice_of(question)
        if found is None:
            return _UNKNOWN
        key = (
            question.agent,
            question.action,
            question.resource,
            question.approvals,
            # what no policy reads is left out, so that like questions meet in the memo
            *(narrow(lines, getattr(question, name)) for name, lines in found.reads.items()),
        )
        answer = self._memo.get(key)
        if answer is None:
            answer = self._evaluate(question, found)
            if len(self._memo) >= _MEMO_SIZE:
                self._memo.clear()
            self._memo[key] = answer
        return answer

    def forget(self) -> None:
        """Forget the answers given so far; the slices stay."""
        self._memo.clear()

    def _evaluate(self, question: Question, found: Slice) -> PolicyAnswer:
        views = self.population.views((question.resource_kind, question.resource))
        if len(views) == 1:
            return self._answer(question, found, views[0][1])
        at = {place: self._answer(question, found, entities) for place, entities in views}
        answers = list(at.values())
        answer = next((one for one in answers if one.verdict != "deny"), answers[0])
        return replace(answer, at=at)

    def _answer(self, question: Question, found: Slice, entities: cedarpy.Entities) -> PolicyAnswer:
        answer = self._decide(question, found, entities)
        if answer.verdict == "deny" or found.obliging is None:
            return answer
        said = found.obliging.evaluate(request_of(question, found, question.approvals), entities)
        if said.errors:
            return _failed(said.errors)
        duties = tuple(duty for rule in said.reasons for duty in rule.annotated.duties)
        return PolicyAnswer(
            answer.verdict, answer.policy, answer.message, answer.asks,
            duties=tuple(sorted(duties, key=_by_name)),
        )  # fmt: skip

    def _decide(self, question: Question, found: Slice, entities: cedarpy.Entities) -> PolicyAnswer:
        answer = self._decide_once(question, found, entities, question.approvals)
        asks = answer.asks
        granted = question.approvals
        while answer.verdict == "ask":
            # Never ask a person in vain: would it be permitted once these roles have approved?
            wanted = {ask.role for ask in answer.asks} - granted
            if not wanted:
                name = answer.asks[0].policy
                return PolicyAnswer(
                    "deny",
                    name,
                    f"policy {name!r} asks for an approval that it does not accept: it needs "
                    f'unless {{ context.approvals.contains("{answer.asks[0].role}") }}',
                )
            granted = granted | wanted
            answer = self._decide_once(question, found, entities, granted)
            asks = (*asks, *(ask for ask in answer.asks if ask not in asks))
        if answer.verdict == "permit" and asks:
            strictest = asks[0]
            return PolicyAnswer("ask", strictest.policy, strictest.message, asks)
        return answer

    def _decide_once(
        self,
        question: Question,
        found: Slice,
        entities: cedarpy.Entities,
        approvals: frozenset[str],
    ) -> PolicyAnswer:
        said = found.decide(request_of(question, found, approvals), entities)
        if said.errors:
            return _failed(said.errors)
        reasons = sorted((rule.annotated for rule in said.reasons), key=lambda one: one.policy)
        if said.allowed:
            first = reasons[0]
            return PolicyAnswer("permit", first.policy, first.message or "permitted by policy")
        plain = [policy for policy in reasons if policy.obligation is None]
        if plain:
            return PolicyAnswer("deny", plain[0].policy, plain[0].message or "forbidden by policy")
        if not reasons:
            return PolicyAnswer("deny", "none", "no policy permits it")
        asks = tuple(policy.obligation for policy in reasons if policy.obligation)
        asks = _by_strictness(asks)
        return PolicyAnswer("ask", asks[0].policy, asks[0].message, asks)


def request_of(question: Question, found: Slice, approvals: frozenset[str]) -> dict[str, Any]:
    """Return the request as Cedar takes it, with what the policies of the slice read."""
    context: dict[str, Any] = {}
    for name in found.reads:
        value = approvals if name == "approvals" else getattr(question, name)
        context[name] = sorted(value) if isinstance(value, frozenset) else value
    return {
        "principal": {"type": "Agent", "id": question.agent},
        "action": {"type": "Action", "id": question.action},
        "resource": {"type": question.resource_kind, "id": question.resource},
        "context": context,
    }


def _failed(errors: tuple[str, ...]) -> PolicyAnswer:
    return PolicyAnswer(
        "deny", "error", "a policy could not be evaluated, so nothing is permitted", errors=errors
    )


_RISK_ORDER: dict[Risk | None, int] = {
    risk: place for place, risk in enumerate((*reversed(get_args(Risk)), None))
}


def _by_strictness(asks: tuple[Obligation, ...]) -> tuple[Obligation, ...]:
    return tuple(sorted(asks, key=lambda ask: (_RISK_ORDER[ask.risk], ask.policy)))


def _by_name(duty: Duty) -> tuple[str, str]:
    return duty.policy, duty.kind
