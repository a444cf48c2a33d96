"""Evaluating policies: one Cedar set, parsed once, asked many times.

Cedar skips a `forbid` whose evaluation errs, which would open what it meant to close: any
error in an evaluation is a deny here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, get_args

import cedarpy

from watchkeeper.policy.annotations import Annotated
from watchkeeper.policy.model import (
    AgentFacts,
    Obligation,
    PolicyAnswer,
    Question,
    ResourceFacts,
)
from watchkeeper.policy.schema import SCHEMA
from watchkeeper.policy.source import Checked
from watchkeeper.wire.decisions import Risk

BASE = '@id("contract-allows")\n@message("the contract allows it and no policy forbids it")\n' \
    "permit(principal, action, resource);\n"  # fmt: skip
"""In force only while no applied policy is a permit: the contract's allowlist then permits."""

_MEMO_SIZE = 8192


class PolicyEngine:
    """An immutable set of policies with the entities they speak of."""

    def __init__(
        self,
        files: Sequence[Checked],
        agents: Iterable[AgentFacts] = (),
        resources: Iterable[ResourceFacts] = (),
    ) -> None:
        texts = [file.text for file in files]
        self._policies: list[Annotated] = [policy for file in files for policy in file.policies]
        if not any(file.permits for file in files):
            texts.append(BASE)
            self._policies.append(
                Annotated(
                    "contract-allows",
                    "the contract allows it and no policy forbids it",
                    None,
                )
            )
        self._reads = frozenset().union(*(file.reads for file in files))
        self._set = cedarpy.PolicySet.from_str("\n".join(texts))
        self._schema = cedarpy.Schema.from_str(SCHEMA)
        self._entities = cedarpy.Entities.from_json_str(
            json.dumps(_entities(agents, resources)), SCHEMA
        )
        self._memo: dict[Question, PolicyAnswer] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The id of every policy in force, in the order they stand."""
        return tuple(policy.policy for policy in self._policies)

    def ask(self, question: Question) -> PolicyAnswer:
        """Return permit, deny, or the approvals that would turn the answer into a permit."""
        key = self._narrow(question)
        answer = self._memo.get(key)
        if answer is None:
            answer = self._evaluate(key)
            if len(self._memo) >= _MEMO_SIZE:
                self._memo.clear()
            self._memo[key] = answer
        return answer

    def _narrow(self, question: Question) -> Question:
        """Drop what no policy reads, so that equal questions meet in the memo."""
        return Question(
            question.agent,
            question.action,
            question.resource_kind,
            question.resource,
            question.environment,
            question.amount_micros if "amount_micros" in self._reads else 0,
            question.input_tokens if "est_tokens" in self._reads else 0,
            question.output_tokens if "est_tokens" in self._reads else 0,
            question.approvals,
        )

    def _evaluate(self, question: Question) -> PolicyAnswer:
        answer = self._evaluate_once(question, question.approvals)
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
            answer = self._evaluate_once(question, granted)
            asks = (*asks, *(ask for ask in answer.asks if ask not in asks))
        if answer.verdict == "permit" and asks:
            strictest = asks[0]
            return PolicyAnswer("ask", strictest.policy, strictest.message, asks)
        return answer

    def _evaluate_once(self, question: Question, approvals: frozenset[str]) -> PolicyAnswer:
        request: dict[str, Any] = {
            "principal": {"type": "Agent", "id": question.agent},
            "action": {"type": "Action", "id": question.action},
            "resource": {"type": question.resource_kind, "id": question.resource},
            "context": {
                "environment": question.environment,
                "amount_micros": question.amount_micros,
                "est_tokens": question.input_tokens + question.output_tokens,
                "approvals": sorted(approvals),
            },
        }
        result = cedarpy.is_authorized(request, self._set, self._entities, self._schema)
        errors = tuple(str(error) for error in result.diagnostics.errors)
        if errors:
            return PolicyAnswer(
                "deny", "error", "a policy could not be evaluated, so nothing is permitted",
                errors=errors,
            )  # fmt: skip
        reasons = [
            self._policies[int(r.removeprefix("policy"))] for r in result.diagnostics.reasons
        ]
        reasons.sort(key=lambda policy: policy.policy)
        if result.allowed:
            first = reasons[0]
            return PolicyAnswer("permit", first.policy, first.message or "permitted by policy")
        plain = [policy for policy in reasons if policy.obligation is None]
        if plain:
            return PolicyAnswer("deny", plain[0].policy, plain[0].message or "forbidden by policy")
        if not reasons:
            return PolicyAnswer("deny", "none", "no policy permits it")
        asks = tuple(policy.obligation for policy in reasons if policy.obligation)
        return PolicyAnswer("ask", asks[0].policy, asks[0].message, _by_strictness(asks))


_RISK_ORDER: dict[Risk | None, int] = {
    risk: place for place, risk in enumerate((*reversed(get_args(Risk)), None))
}


def _by_strictness(asks: tuple[Obligation, ...]) -> tuple[Obligation, ...]:
    return tuple(sorted(asks, key=lambda ask: (_RISK_ORDER[ask.risk], ask.policy)))


def _entities(
    agents: Iterable[AgentFacts], resources: Iterable[ResourceFacts]
) -> list[dict[str, Any]]:
    agents = tuple(agents)
    parents = {("Namespace", agent.namespace) for agent in agents}
    parents |= {("Team", agent.team) for agent in agents}
    entities: list[dict[str, Any]] = [
        {"uid": {"type": kind, "id": name}, "attrs": {}, "parents": []}
        for kind, name in sorted(parents)
    ]
    for agent in agents:
        entities.append(
            {
                "uid": {"type": "Agent", "id": agent.name},
                "attrs": {
                    "name": agent.name,
                    "team": agent.team,
                    "autonomy": agent.autonomy,
                    "tags": list(agent.tags),
                },
                "parents": [
                    {"type": "Namespace", "id": agent.namespace},
                    {"type": "Team", "id": agent.team},
                ],
            }
        )
    for resource in resources:
        entities.append(
            {
                "uid": {"type": resource.kind, "id": resource.name},
                "attrs": {
                    "name": resource.name,
                    "region": resource.region,
                    "access": resource.access,
                    "risk": resource.risk,
                    "tags": list(resource.tags),
                },
                "parents": [],
            }
        )
    return entities
