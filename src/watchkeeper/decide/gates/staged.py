"""What policy sets that are not enforced yet would have said otherwise."""

from __future__ import annotations

from collections.abc import Iterator

from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.model import Would
from watchkeeper.policy.model import PolicyAnswer, Question
from watchkeeper.wire.decisions import Verdict

_VERDICTS: dict[str, Verdict] = {"permit": "permit", "ask": "hold", "deny": "deny"}


def ask_staged(catalogue: Catalogue, question: Question, answer: PolicyAnswer) -> Iterator[Would]:
    """Ask each staged set beside what is enforced; yield where it changes the answer."""
    for shadow in catalogue.shadows:
        said = shadow.engine.ask(question)
        if (said.verdict, said.asks, said.duties) == (answer.verdict, answer.asks, answer.duties):
            barred = next(_barred(said, answer), None)
            if barred is not None:
                yield Would(shadow.name, shadow.stage, _VERDICTS[said.verdict], *barred)
            continue
        policy, message = said.policy, said.message
        added = [duty for duty in said.duties if duty not in answer.duties]
        if said.verdict == answer.verdict and said.asks == answer.asks and added:
            policy = added[0].policy
            message = f"{added[0].kind} would be asked for"
        yield Would(shadow.name, shadow.stage, _VERDICTS[said.verdict], policy, message)


def _barred(said: PolicyAnswer, answer: PolicyAnswer) -> Iterator[tuple[str, str]]:
    """Yield the policies that would keep a model call from some of its targets, and why."""
    for place, there in said.at.items():
        before = answer.at.get(place)
        if there.verdict == "deny" and before is not None and before.verdict != "deny":
            yield there.policy, f"it would not go to {place}: {there.message}"


def reads_model(catalogue: Catalogue, question: Question) -> bool:
    """Tell whether any policy that is asked reads which model answered last."""
    if catalogue.engine.reads(question, "model"):
        return True
    return any(shadow.engine.reads(question, "model") for shadow in catalogue.shadows)
