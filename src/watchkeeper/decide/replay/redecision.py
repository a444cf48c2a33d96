"""A recorded decision made again: the real path over the facts that were recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from watchkeeper.approvals.model import Grant, Standing
from watchkeeper.budgets.filling import Level
from watchkeeper.budgets.model import Cap
from watchkeeper.core.errors import Invalid
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.facts import NoRoom
from watchkeeper.decide.gates.contract import contract_gate
from watchkeeper.decide.model import RISKS, Progress, Ruling
from watchkeeper.decide.path import GATES, decide
from watchkeeper.decide.replay.balances import Balances
from watchkeeper.decide.replay.recorded import Recorded
from watchkeeper.decide.replay.rehearsal import RehearsalFacts
from watchkeeper.identity.recorded import FOREVER
from watchkeeper.policy.model import Question
from watchkeeper.tools.rates.rules import Limit
from watchkeeper.tools.rates.service import TooSoon
from watchkeeper.wire.budgets import Measure
from watchkeeper.wire.decisions import Risk
from watchkeeper.wire.replays import Again

BEFORE_CONTRACT = ("lock/", "identity/", "breaker/")
"""Rules of gates that look at what is not recorded, before policies are asked."""
AFTER_APPROVAL = ("rate/", "budget/")
"""Rules of such gates that come when everything else has let pass."""
UNPINNED = ("/quarantine", "/gone", "/unpinned")
"""How rules end that speak of an upstream's definitions at the time."""
WITHOUT_CONTRACT = tuple(gate for gate in GATES if gate is not contract_gate)


class Redecision(NamedTuple):
    """What would be decided, and how that is known.

    `kept`: the recorded refusal stands, for it came of what is not decided again. `skipped`:
    too little was recorded.
    """

    how: Again
    ruling: Ruling | None = None
    progress: Progress | None = None
    """What the gates found out on the way."""


@dataclass(slots=True)
class RecordedFacts(RehearsalFacts):
    """The world as far as it was recorded with a decision."""

    recorded: Recorded | None = None
    balances: Balances | None = None
    """What a replayed run has used by now; None: budgets are not decided again."""

    def answered_by(self) -> str | None:
        """Return the model that had answered, where a policy then wanted to know."""
        question = self.recorded.question if self.recorded else None
        return question.model or None if question else None

    def tool_errors(self) -> tuple[int, int]:
        """Return how tool calls had gone, where that was looked at then."""
        said = self._looked("tool_errors")
        if isinstance(said, list) and len(said) == 2 and all(type(n) is int for n in said):
            return said[0], said[1]
        return 0, 0

    def largest_amount(self) -> int:
        """Return the largest amount by then, where that was looked at."""
        said = self._looked("largest_amount")
        return said if isinstance(said, int) else 0

    def highest_risk(self) -> Risk | None:
        """Return the highest risk by then, where that was looked at."""
        said = self._looked("highest_risk")
        return next((risk for risk in RISKS if risk == said), None)

    def _looked(self, name: str) -> Any:
        return self.recorded.looked.get(name) if self.recorded else None

    def approved(self, digest: str) -> Grant | None:
        """Return a grant where the action was let through, by a person or past that gate."""
        was = self.recorded
        if was is None or not was.rule.startswith(("approval/", "standing/", *AFTER_APPROVAL)):
            return None
        if was.verdict == "deny" and was.rule.startswith("approval/"):
            return None
        return Grant(was.request or was.decision, digest, FOREVER, (), ())

    def standing(self, digest: str) -> Standing | None:
        """Return where the request stood that refused the action."""
        was = self.recorded
        if was is None or was.verdict != "deny" or not was.rule.startswith("approval/"):
            return None
        request = was.rule.removeprefix("approval/")
        return Standing(request, "denied", None, was.at, was.reason, was.at)

    def waiting(self) -> int:
        """Return more than any contract lets wait, where that was what refused."""
        was = self.recorded
        return FOREVER if was is not None and was.rule.endswith("/max_pending") else 0

    def pass_rates(self, limits: Sequence[Limit]) -> TooSoon | None:
        """Rates are not decided again."""
        return None

    def repeats(self, call: str) -> bool:
        """Nothing was called before."""
        return False

    def reserve(
        self, caps: Sequence[Cap], amounts: Mapping[Measure, int], touches: str | None = None
    ) -> NoRoom | None:
        """Find room beside what the replayed run used, where that is counted."""
        if self.balances is None:
            return None
        return self.balances.find_room(caps, amounts, touches, self.now)

    def levels(self, caps: Sequence[Cap]) -> Sequence[Level]:
        """Return how full the replayed run made caps; empty where that is not counted."""
        if self.balances is None:
            return RehearsalFacts.levels(self, caps)
        return self.balances.levels(caps, self.now)


def decide_again(
    was: Recorded, catalogue: Catalogue, balances: Balances | None = None
) -> Redecision:
    """Return what would be decided under another catalogue.

    With `balances` budgets are decided again too: as far as they are another's doing, a refusal
    that came of them is kept.
    """
    if was.rule.startswith(BEFORE_CONTRACT) or was.rule.endswith(UNPINNED):
        return Redecision("kept")
    if was.action is None or was.facts is None:
        return Redecision("skipped")
    run = replace(was.facts, state="open", scope=None)
    facts = RecordedFacts(was.at, catalogue, run, recorded=was, balances=balances)
    try:
        if was.intact:
            ruling, progress = decide(was.action, facts)
        elif was.question is None or run.agent not in catalogue.agents:
            return Redecision("skipped")
        else:
            ruling, progress = decide(
                was.action, facts, gates=WITHOUT_CONTRACT, progress=_progress(was, was.question)
            )
    except Invalid:
        return Redecision("skipped")
    was_late = was.rule.startswith(AFTER_APPROVAL)
    lifted = balances is not None and balances.lifts(was.rule)
    if was_late and ruling.verdict == "permit" and not lifted:
        return Redecision("kept")
    return Redecision("decided", ruling, progress)


def _progress(was: Recorded, question: Question) -> Progress:
    """Return what the contract gate found out then: the arguments are not all kept."""
    return Progress(
        amount_micros=question.amount_micros,
        object_kind=question.object_kind or None,
        object_id=question.object_id or None,
        digest=was.digest,
    )
