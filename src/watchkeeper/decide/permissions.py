"""An agent's permission envelope in words: the real gates, asked with representative actions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from watchkeeper.core.money import dollars
from watchkeeper.decide.catalogue import Catalogue, GovernedAgent
from watchkeeper.decide.gates.approval import approval_gate
from watchkeeper.decide.gates.contract import PROMPT, may_call, may_use
from watchkeeper.decide.gates.policy import policy_gate
from watchkeeper.decide.gates.routing import routing_gate
from watchkeeper.decide.model import Action, Progress
from watchkeeper.decide.replay.rehearsal import RehearsalFacts, run_at_rest
from watchkeeper.policy.model import Question
from watchkeeper.policy.reading import Reads
from watchkeeper.wire.agents import Envelope, EnvelopeRow
from watchkeeper.wire.decisions import Duty, DutyKind, Usage

May = Literal["yes", "approval", "never"]
_ORDER: tuple[May, ...] = ("yes", "approval", "never")
_DEPENDS = {
    "data_classes": "the data in it",
    "on_behalf_of": "on whose behalf",
    "proven": "proof of on whose behalf",
    "object_kind": "the object",
    "object_id": "the object",
}
_FULFILS: tuple[DutyKind, ...] = get_args(DutyKind)
_TOKENS = ("est_tokens", "input_tokens")


@dataclass(frozen=True, slots=True)
class _Outcome:
    may: May
    words: str
    rule: str


def envelope_of(catalogue: Catalogue, name: str) -> Envelope:
    """Return what an agent may do with each tool and model that its contract names."""
    agent = catalogue.agents[name]
    return Envelope(
        rows=(
            *(_tool_row(catalogue, agent, tool) for tool in agent.tools),
            *(_model_row(catalogue, agent, model) for model in catalogue.reached_by(name)),
        )
    )


def _tool_row(catalogue: Catalogue, agent: GovernedAgent, name: str) -> EnvelopeRow:
    tool = catalogue.tools.get(name)
    refused = may_use(name, catalogue, agent, Progress())
    if tool is None or refused is not None:
        outcome = _Outcome("never", refused.reason, refused.rule) if refused else _Outcome(
            "never", "no tool contract is in force", f"contract/{agent.contract.name}/tools"
        )  # fmt: skip
    else:
        moves_money = tool.contract.amount_usd is not None
        names = ("amount_micros",) if moves_money else ()
        outcome = _ask_all(catalogue, agent, "Tool", name, names, dollars)
    return EnvelopeRow(
        kind="tool",
        name=name,
        may=outcome.may,
        words=outcome.words,
        rule=outcome.rule,
        risk=tool.contract.risk if tool else "unknown",
        does=tool.contract.does if tool else "",
    )


def _model_row(catalogue: Catalogue, agent: GovernedAgent, name: str) -> EnvelopeRow:
    model = catalogue.models.get(name)
    provider = model.primary.provider if model and model.primary else None
    routing = agent.contract.model_routing
    implied = routing is None or name not in routing.models
    refused = may_call(name, catalogue, agent, implied=implied)
    if refused is not None:
        outcome = _Outcome("never", refused.reason, refused.rule)
    else:
        outcome = _ask_all(catalogue, agent, "Model", name, _TOKENS, lambda n: f"{n:,} tokens")
    does = f"{provider.name}, region {provider.region}" if provider else ""
    if implied:
        does = "; ".join(filter(None, (does, "answers only calls that are led to it")))
    return EnvelopeRow(
        kind="model",
        name=name,
        may=outcome.may,
        words=outcome.words,
        rule=outcome.rule,
        does=does,
    )


def _ask_all(
    catalogue: Catalogue,
    agent: GovernedAgent,
    kind: Literal["Tool", "Model"],
    name: str,
    measured: Sequence[str],
    write: Callable[[int], str],
) -> _Outcome:
    """Ask in every environment, on both sides of every line that a policy draws."""
    question = Question(
        agent.contract.name, "use_tool" if kind == "Tool" else "call_model", kind, name, ""
    )
    reads = _reads(catalogue, question)
    lines = sorted({line for one in measured for line in reads.get(one) or ()})
    depends = sorted({_DEPENDS[one] for one in reads if one in _DEPENDS})
    depends += [one.replace("_", " ") for one in measured if reads.get(one, ()) is None]
    said: dict[str, list[str]] = {}
    best: _Outcome | None = None
    for environment in agent.contract.environments:
        found = list(_probe(catalogue, agent, kind, name, environment, lines))
        words = _write(found, lines, write)
        said.setdefault(words, []).append(environment)
        for _, outcome in found:
            if best is None or _ORDER.index(outcome.may) < _ORDER.index(best.may):
                best = outcome
    if best is None:
        contract = agent.contract.name
        return _Outcome("never", "its contract covers no environment", f"contract/{contract}")
    text = (
        next(iter(said))
        if len(said) == 1
        else "; ".join(f"in {', '.join(where)}: {words}" for words, where in said.items())
    )
    if best.may == "never":
        text = text.removeprefix("never: ")
    if depends:
        text += f" (depends also on {', '.join(depends)})"
    return replace(best, words=text)


def _probe(
    catalogue: Catalogue,
    agent: GovernedAgent,
    kind: str,
    name: str,
    environment: str,
    lines: Iterable[int],
) -> Iterator[tuple[int, _Outcome]]:
    """Yield the outcome at the smallest amount, and at and beside every line, in order."""
    points = {1} | {point for line in lines for point in (line - 1, line, line + 1) if point > 0}
    templates = agent.contract.context.prompt_templates
    for point in sorted(points):
        action = Action(
            "tool" if kind == "Tool" else "model",
            name,
            {PROMPT: templates[0].digest} if templates else {},
            Usage(input_tokens=0 if kind == "Tool" else point),
            fulfils=_FULFILS,
        )
        amount = point if kind == "Tool" and lines else 0
        yield point, _ask(catalogue, agent, action, environment, amount)


def _ask(
    catalogue: Catalogue, agent: GovernedAgent, action: Action, environment: str, amount: int
) -> _Outcome:
    """Ask the gates; where they refuse, whether an answer of a model would change that."""
    run = run_at_rest(catalogue, agent.contract.name, environment)
    routing = agent.contract.model_routing
    first: _Outcome | None = None
    for model in (None, *(routing.models if routing and action.kind == "tool" else ())):
        facts = RehearsalFacts(0, catalogue, run, model=model)
        outcome = _ask_once(action, facts, amount)
        if outcome.may != "never":
            after = f" after an answer of {model}" if model else ""
            return replace(outcome, words=outcome.words + after)
        first = first or outcome
    assert first is not None
    return first


def _ask_once(action: Action, facts: RehearsalFacts, amount: int) -> _Outcome:
    progress = Progress(amount_micros=amount)
    refused = policy_gate(action, facts, progress) or routing_gate(action, facts, progress)
    if refused is not None:
        return _Outcome("never", f"never: {refused.reason}", refused.rule)
    duties = "".join(f", {_duty(duty)}" for duty in progress.obligations)
    held = approval_gate(action, facts, progress)
    if held is None:
        return _Outcome("yes", f"freely{duties}", progress.permit_rule)
    whose = held.requirement.words if held.requirement else ""
    return _Outcome("approval", f"with approval by {whose}{duties}", held.rule)


def _duty(duty: Duty) -> str:
    match duty.kind:
        case "route":
            return f"answered by {duty.model}"
        case "redact":
            return f"without {', '.join(duty.classes)} in the result"
        case "max_output_tokens":
            return f"of at most {duty.max_output_tokens:,} output tokens"
        case "compose":
            return f"also answered by {duty.model}"
        case "strip":
            return f"without {', '.join(duty.tools)}"
        case "max_seconds":
            return f"in at most {duty.max_seconds:,} s"


def _write(
    found: Sequence[tuple[int, _Outcome]], lines: Sequence[int], write: Callable[[int], str]
) -> str:
    """Say what is so up to which point: `up to $200 freely; above with approval by x`."""
    spans: list[tuple[int, str]] = []
    for point, outcome in found:
        if spans and spans[-1][1] == outcome.words:
            spans[-1] = (point, outcome.words)
        else:
            spans.append((point, outcome.words))
    if len(spans) == 1:
        return spans[0][1]
    parts = [
        # a span that ends beside a line ends below it: that is how `>=` draws one
        f"up to {write(last)} {words}" if last in lines else f"below {write(last + 1)} {words}"
        for last, words in spans[:-1]
    ]
    return "; ".join((*parts, f"above {spans[-1][1]}"))


def _reads(catalogue: Catalogue, question: Question) -> Reads:
    found = catalogue.engine.slice_of(question)
    return found.reads if found is not None else {}
