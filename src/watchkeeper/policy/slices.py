"""Slices: the policies that can matter for one agent, action and resource, ready to evaluate.

Cedar looks at every policy it is given, so the cost of a decision grows with their number. A
slice holds only those whose scope can match; policies about everything are parsed once for
each action, and a slice asks its own beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cedarpy

from watchkeeper.policy.population import Population, Uid
from watchkeeper.policy.reading import Reads, merge
from watchkeeper.policy.schema import ACTIONS
from watchkeeper.policy.source import Rule

_MOST_PLACES = 16_384
_MOST_SLICES = 4096


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What Cedar said: permitted or not, the policies that decided, and errors in words."""

    allowed: bool
    reasons: tuple[Rule, ...]
    errors: tuple[str, ...]


class Parsed:
    """Some policies, ready to evaluate."""

    def __init__(self, rules: Sequence[Rule], base: Parsed | None = None) -> None:
        text = "\n".join(rule.text for rule in rules)
        known: dict[str, Rule] = base._rules if base else {}
        self._rules: dict[str, Rule] = {**known, **{rule.annotated.policy: rule for rule in rules}}
        self._set: cedarpy.PolicySet = (
            base._set.with_added_str(text) if base else cedarpy.PolicySet.from_str(text)
        )

    def evaluate(self, request: dict[str, Any], entities: cedarpy.Entities) -> Evaluation:
        """Put one request to the policies."""
        result = cedarpy.is_authorized(request, self._set, entities)
        names = result.diagnostics.id_annotations_by_reason
        return Evaluation(
            result.allowed,
            tuple(self._rules[names[reason]] for reason in result.diagnostics.reasons),
            tuple(str(error) for error in result.diagnostics.errors),
        )


@dataclass(frozen=True, slots=True)
class Slice:
    """The policies that can matter for one agent, action and resource."""

    rules: tuple[Rule, ...]
    deciding: tuple[Parsed, ...]
    """Permits, forbids, and those that ask for an approval: the general ones, then its own."""
    obliging: Parsed | None
    """Those that attach an obligation to a permit."""
    reads: Reads

    def decide(self, request: dict[str, Any], entities: cedarpy.Entities) -> Evaluation:
        """Put one request to the deciding policies, as if all of them were one set."""
        said = [parsed.evaluate(request, entities) for parsed in self.deciding]
        if len(said) == 1:
            return said[0]
        errors = tuple(error for one in said for error in one.errors)
        forbids = tuple(rule for one in said if not one.allowed for rule in one.reasons)
        if forbids:
            return Evaluation(False, forbids, errors)
        permits = tuple(rule for one in said for rule in one.reasons)
        return Evaluation(bool(permits), permits, errors)


class Slices:
    """The slices of one set of policies, made when they are first needed."""

    def __init__(self, rules: Sequence[Rule], population: Population) -> None:
        self._population = population
        self._bases: dict[str, tuple[list[Rule], Parsed, Reads]] = {}
        self._special: dict[str, list[Rule]] = {}
        for action in ACTIONS:
            uid = ("Action", action)
            applying = [rule for rule in rules if rule.scope.action.matches(uid, frozenset({uid}))]
            general = [rule for rule in applying if _is_general(rule)]
            self._bases[action] = (general, Parsed(general), merge(r.reads for r in general))
            self._special[action] = [rule for rule in applying if not _is_general(rule)]
        self._by_place: dict[tuple[str, str, Uid], Slice] = {}
        self._by_rules: dict[tuple[str, tuple[str, ...]], Slice] = {}

    def find(self, agent: str, action: str, resource: Uid) -> Slice | None:
        """Return the slice of a request; None where agent or resource is not in force."""
        place = (agent, action, resource)
        found = self._by_place.get(place)
        if found is None:
            principal = ("Agent", agent)
            agent_above = self._population.above(principal)
            resource_above = self._population.above(resource)
            if agent_above is None or resource_above is None:
                return None
            special = [
                rule
                for rule in self._special[action]
                if rule.scope.principal.matches(principal, agent_above)
                and rule.scope.resource.matches(resource, resource_above)
            ]
            if len(self._by_place) >= _MOST_PLACES or len(self._by_rules) >= _MOST_SLICES:
                self._by_place.clear()
                self._by_rules.clear()
            found = self._by_place[place] = self._of(action, special)
        return found

    def _of(self, action: str, special: Sequence[Rule]) -> Slice:
        """Return the slice of some policies beside the general ones; equal ones are one."""
        key = (action, tuple(rule.annotated.policy for rule in special))
        found = self._by_rules.get(key)
        if found is None:
            general, base, reads = self._bases[action]
            deciding = [rule for rule in special if not rule.annotated.duties]
            obliging = [rule for rule in special if rule.annotated.duties]
            rules = (*general, *special)
            found = self._by_rules[key] = Slice(
                rules,
                (base, Parsed(deciding)) if deciding else (base,),
                Parsed(obliging) if obliging else None,
                merge((reads, *(rule.reads for rule in special))),
            )
        return found


def _is_general(rule: Rule) -> bool:
    return rule.scope.is_general() and not rule.annotated.duties
