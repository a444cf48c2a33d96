"""Why an action is decided as it is: the real path, watched gate by gate."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, replace

from watchkeeper.approvals.model import Grant
from watchkeeper.decide.catalogue import Catalogue, GovernedPolicy
from watchkeeper.decide.glancing import GlancingFacts
from watchkeeper.decide.model import Action, Progress, Requirement, Ruling, describe
from watchkeeper.decide.path import GATES, Gate, decide
from watchkeeper.decide.replay.rehearsal import REHEARSED
from watchkeeper.identity.model import RunFacts
from watchkeeper.identity.recorded import FOREVER
from watchkeeper.policy.source import Rule
from watchkeeper.policy.speaking import speaking
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import Duty
from watchkeeper.wire.models import Routed
from watchkeeper.wire.policy import Effect, ExplainResult, GateResult, GateRow, PolicyMatch
from watchkeeper.wire.quorum import size

_MOST_ENVIRONMENTS = 5


class Supposing(GlancingFacts):
    """The world as it is, but that a person has approved some actions."""

    supposed: frozenset[str] = frozenset()

    def approved(self, digest: str) -> Grant | None:
        """Return a grant where one is supposed; otherwise the real one."""
        if digest in self.supposed:
            return Grant(REHEARSED, digest, FOREVER, (), (REHEARSED,))
        return super().approved(digest)


@dataclass(frozen=True, slots=True)
class Glanced:
    """What would be decided now, and what each gate said."""

    ruling: Ruling
    progress: Progress
    gates: tuple[GateRow, ...]


def glance(tx: Transaction, catalogue: Catalogue, run: RunFacts, action: Action) -> Glanced:
    """Decide an action as it would be decided now; nothing is recorded or reserved.

    Raises `Invalid` for arguments without canonical form.
    """
    said: list[tuple[Gate, Ruling | None]] = []
    ruling, progress = decide(
        action,
        GlancingFacts(tx, catalogue, run),
        lambda gate, answer: said.append((gate, answer)),
    )
    rows = [_gate_row(gate, answer) for gate, answer in said]
    rows += [_row(gate, "not reached") for gate in GATES[len(said) :]]
    return Glanced(ruling, progress, tuple(rows))


def explain(tx: Transaction, catalogue: Catalogue, run: RunFacts, action: Action) -> ExplainResult:
    """Return why an action would be decided as it would be now."""
    found = glance(tx, catalogue, run, action)
    ruling, progress = found.ruling, found.progress
    governed = catalogue.agents.get(run.agent)
    asked = ruling.requirement
    return ExplainResult(
        agent=run.agent,
        version=governed.version if governed else 0,
        kind=action.kind,
        name=action.name,
        environment=run.environment,
        arguments=dict(action.arguments),
        verdict=ruling.verdict,
        rule=ruling.rule,
        reason=ruling.reason,
        allowed_instead=ruling.allowed_instead,
        does=describe(action, progress, _display(catalogue, action)),
        role=asked.role if asked else None,
        gates=found.gates,
        matches=tuple(_matches(catalogue, progress)),
        obligations=tuple(_obligations(progress)),
        would_change=tuple(_alternatives(tx, catalogue, run, action, found)),
        notes=tuple(f"{one.words()} (set {one.set}, {one.stage})" for one in progress.would),
    )


def _display(catalogue: Catalogue, action: Action) -> str | None:
    tool = catalogue.tools.get(action.name) if action.kind == "tool" else None
    return tool.contract.display if tool else None


def _gate_row(gate: Gate, ruling: Ruling | None) -> GateRow:
    if ruling is None:
        return _row(gate, "pass")
    result: GateResult = "hold" if ruling.verdict == "hold" else "refuse"
    return _row(gate, result, ruling.rule, ruling.reason)


def _row(
    gate: Gate, result: GateResult, rule: str | None = None, reason: str | None = None
) -> GateRow:
    name = getattr(gate, "__name__", "")
    does = (inspect.getdoc(gate) or "").partition("\n")[0]
    return GateRow(
        gate=name.removesuffix("_gate"), does=does, result=result, rule=rule, reason=reason
    )


def _matches(catalogue: Catalogue, progress: Progress) -> Iterator[PolicyMatch]:
    """Yield every policy that speaks of the action; those that decided are marked."""
    question, answer = progress.question, progress.policy
    if question is None or answer is None:
        return
    decided = {answer.policy, *(ask.policy for ask in answer.asks)}
    places = _places(catalogue)
    engines = (catalogue.engine, *(shadow.engine for shadow in catalogue.shadows))
    spoken = {
        rule.annotated.policy: rule for engine in engines for rule in speaking(engine, question)
    }
    for name, rule in spoken.items():
        of_set, governed = places.get(name, ("", None))
        path = governed.path if governed else ""
        yield PolicyMatch(
            policy=name,
            set=of_set,
            where=f"{path}:{rule.line}" if rule.line and path else path,
            stage=governed.stage if governed else "enforce",
            effect=effect_of(rule),
            message=rule.annotated.message,
            annotations=dict(rule.annotations),
            decided=name in decided,
        )


def effect_of(rule: Rule) -> Effect:
    """Return what a policy does, in a word: permit, forbid or ask."""
    if rule.permits:
        return "permit"
    return "forbid" if rule.annotated.obligation is None else "ask"


def _places(catalogue: Catalogue) -> dict[str, tuple[str, GovernedPolicy]]:
    """Return the set of each policy by its id."""
    return {
        rule.annotated.policy: (name, governed)
        for name, governed in catalogue.policies.items()
        for rule in governed.file.rules
    }


def _obligations(progress: Progress) -> Iterator[str]:
    for duty in progress.obligations:
        by = duty.policy if "/" in duty.policy else f"policy {duty.policy}"
        yield f"{_say_duty(duty)} ({by})"
    if progress.routed is not None:
        yield _say_route(progress.routed)


def _say_route(routed: Routed) -> str:
    """Say who answers and where that is tried first: `small-fast at near/mini: …`."""
    legs = [
        f"{leg.model} at {leg.targets[0].provider}/{leg.targets[0].model}" for leg in routed.legs
    ]
    return f"{', then '.join(legs)}: {routed.reason}"


def _say_duty(duty: Duty) -> str:
    if duty.kind == "route":
        return f"model {duty.model} answers instead"
    if duty.kind == "redact":
        return f"{', '.join(duty.classes)} taken out of the result"
    if duty.kind == "strip":
        return f"{', '.join(duty.tools)} taken out of the call"
    if duty.kind == "compose":
        return f"model {duty.model} answers besides"
    return f"no more than {duty.max_output_tokens:,} output tokens"


def _alternatives(
    tx: Transaction, catalogue: Catalogue, run: RunFacts, action: Action, found: Glanced
) -> Iterator[str]:
    """Yield what would make the answer another one, each tried on the path."""
    ruling = found.ruling
    if ruling.requirement is not None:
        facts = Supposing(tx, catalogue, run)
        facts.supposed = frozenset({found.progress.digest})
        then, _ = decide(action, facts)
        yield f"with the approval of {_roles(ruling.requirement)}: {_say(then)}"
    elif ruling.verdict == "deny" and ruling.allowed_instead:
        yield ruling.allowed_instead
    governed = catalogue.agents.get(run.agent)
    others = governed.contract.environments if governed else ()
    for environment in others[:_MOST_ENVIRONMENTS]:
        if environment != run.environment:
            there = replace(run, environment=environment)
            then, _ = decide(action, GlancingFacts(tx, catalogue, there))
            if then.verdict != ruling.verdict:
                yield f"in environment {environment}: {_say(then)}"


def _roles(asked: Requirement) -> str:
    return asked.words if size(asked.groups) > 1 else " or ".join(asked.roles)


def _say(ruling: Ruling) -> str:
    if ruling.verdict == "permit":
        return "permit"
    return f"{ruling.verdict} by {ruling.rule} ({ruling.reason})"
