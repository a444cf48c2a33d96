"""Where the logical models of documents lead, and what of that can't come about."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from watchkeeper.registry.contract import AgentContract
from watchkeeper.registry.documents import Document
from watchkeeper.registry.providers import EscalateOn, LogicalModel, Provider

_VERSION = re.compile(r"(?P<agent>.+)@(?P<number>[1-9][0-9]{0,8})")
_MOST_NAMED = 6
Documents = Mapping[tuple[str, str], Document]


def reached(names: Iterable[str], find: Callable[[str], LogicalModel | None]) -> tuple[str, ...]:
    """Return the models that calls of some may be answered by, those themselves first."""
    found = dict.fromkeys(names)
    waiting = list(found)
    while waiting:
        model = find(waiting.pop())
        for name in model.leads_to if model else ():
            if name not in found:
                found[name] = None
                waiting.append(name)
    return tuple(found)


def route_gaps(documents: Documents) -> Iterator[str]:
    """Say in words what routing is asked for and can't do; nothing that is missing altogether."""
    models = {name: one for (_, name), one in documents.items() if isinstance(one, LogicalModel)}
    for model in models.values():
        yield from _ensemble_gaps(model, models)
        yield from _protocol_gaps(model, models, documents)
        yield from _canary_gaps(model, documents)
    circle = _circle(models)
    if circle:
        named = ", ".join(circle[:_MOST_NAMED])
        more = len(circle) - _MOST_NAMED
        yield (
            f"models lead to one another in a circle: {named}"
            + (f" and {more} more" if more > 0 else "")
            + "; a call comes to none of them twice, and stays where it is then"
        )
    for document in documents.values():
        if isinstance(document, AgentContract):
            yield from _contract_gaps(document, models, documents)


def _ensemble_gaps(model: LogicalModel, models: Mapping[str, LogicalModel]) -> Iterator[str]:
    """An ensemble's members answer by themselves, and so does who answers after a judged answer."""
    named: list[tuple[str, str]] = []
    if model.ensemble is not None:
        named += [("ensemble.models", name) for name in model.ensemble.models]
        named.append(("ensemble.adjudicator", model.ensemble.adjudicator))
    elif model.escalates_to is not None and any(map(_judges, model.escalate_on)):
        named.append(("escalates_to", model.escalates_to))
    for field, name in named:
        other = models.get(name)
        if other is not None and other.ensemble is not None:
            yield (
                f"model {model.name!r}: {field} names {name!r}, which is an ensemble itself; "
                "its calls are refused"
            )


def _protocol_gaps(
    model: LogicalModel, models: Mapping[str, LogicalModel], documents: Documents
) -> Iterator[str]:
    """Nothing is translated: a call stays with providers of the protocol that it came in."""
    spoken = _protocols(model, documents)
    if len(spoken) > 1:
        yield (
            f"model {model.name!r}: its targets speak {' and '.join(sorted(spoken))}; a call only "
            "goes to those of the protocol that it came in, so the others are no fallback for it"
        )
    for name in model.leads_to:
        other = models.get(name)
        there = _protocols(other, documents) if other else set()
        if spoken and there and not spoken & there:
            yield (
                f"model {model.name!r}: leads to {name!r}, which speaks "
                f"{' and '.join(sorted(there))} only, and its own calls come in "
                f"{' and '.join(sorted(spoken))}; they are refused there"
            )
    if model.ensemble is not None:
        all_of = [_protocols(models[one], documents) for one in model.leads_to if one in models]
        known = [one for one in all_of if one]
        if known and not set.intersection(*known):
            yield (
                f"model {model.name!r}: its models speak no protocol in common, so no call "
                "reaches them all"
            )


def _protocols(model: LogicalModel, documents: Documents) -> set[str]:
    providers = (documents.get(("provider", target.provider)) for target in model.served_by)
    return {one.protocol for one in providers if isinstance(one, Provider)}


def _canary_gaps(model: LogicalModel, documents: Documents) -> Iterator[str]:
    for version in model.canary.versions if model.canary else ():
        said = _VERSION.fullmatch(version)
        if said is None:
            yield (
                f"model {model.name!r}: canary.versions: {version!r:.80} is no version; write it "
                "as `agent@3`"
            )
        elif ("agent", said["agent"]) not in documents:
            yield (
                f"model {model.name!r}: canary.versions names agent {said['agent']!r:.80}, which "
                "does not exist; nothing is tried out on it"
            )


def _contract_gaps(
    agent: AgentContract, models: Mapping[str, LogicalModel], documents: Documents
) -> Iterator[str]:
    routing = agent.model_routing
    if routing is None:
        return
    default = models.get(routing.default)
    stronger = routing.escalate_to or (default.escalates_to if default else None)
    if routing.escalate_on and default is not None and stronger is None:
        yield (
            f"agent {agent.name!r}: model_routing.escalate_on has no effect: neither escalate_to "
            f"nor model {routing.default!r} (escalates_to) names a stronger model"
        )
    other = models.get(stronger) if stronger else None
    if other is not None and other.ensemble and any(map(_judges, routing.escalate_on)):
        yield (
            f"agent {agent.name!r}: {stronger!r}, which is to answer where an answer does not do, "
            "is an ensemble; calls of the default model are refused"
        )
    for name in reached(routing.models, models.get):
        model = models.get(name)
        why = _excluded(agent, model, documents) if model else None
        if why is not None:
            yield f"agent {agent.name!r}: its calls of model {name!r} are refused: {why}"


def _excluded(agent: AgentContract, model: LogicalModel, documents: Documents) -> str | None:
    """Say why no target of a model is for an agent, or return None."""
    found = (documents.get(("provider", target.provider)) for target in model.served_by)
    providers = [one for one in found if isinstance(one, Provider)]
    regions = set(agent.regions)
    if not providers:
        return None
    inside = [one for one in providers if {one.region, *one.terms.residency} <= regions]
    if regions and not inside:
        return "no target of it is in the contract's regions"
    kept = inside if regions else providers
    if agent.logging.zero_retention and not any(one.terms.retention == "zero" for one in kept):
        return "the contract says zero_retention, and no provider of it promises that"
    return None


def _judges(condition: EscalateOn) -> bool:
    return condition.output_fails_schema is not None or condition.output_matches is not None


def _circle(models: Mapping[str, LogicalModel]) -> list[str]:
    """Return the models on circles, or between two of them; found by taking away what is not."""
    left = set(models)
    after = {name: {one for one in m.leads_to if one in models} for name, m in models.items()}
    before: dict[str, set[str]] = {name: set() for name in models}
    for name, others in after.items():
        for other in others:
            before[other].add(name)
    for onward, back in ((after, before), (before, after)):
        count = {name: len(onward[name] & left) for name in left}
        waiting = [name for name in left if count[name] == 0]
        while waiting:
            gone = waiting.pop()
            left.discard(gone)
            for name in back[gone]:
                if name in left:
                    count[name] -= 1
                    if count[name] == 0:
                        waiting.append(name)
    return sorted(left)
