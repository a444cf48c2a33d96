"""One run decided again step by step: where it would have gone another way, and what it would cost.

What a step used then is what it is taken to use again; a call that goes to another model is priced
there. Nothing is sent, held or recorded.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import select

from watchkeeper.budgets.model import Cap
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.model import Progress
from watchkeeper.decide.replay.balances import Amounts, Balances, posted_by
from watchkeeper.decide.replay.recorded import Recorded
from watchkeeper.decide.replay.redecision import UNPINNED, Redecision, decide_again
from watchkeeper.decide.tables import decisions
from watchkeeper.identity.model import RunFacts
from watchkeeper.identity.recorded import known_run
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import Usage, Verdict
from watchkeeper.wire.erasing import ERASED_JSON
from watchkeeper.wire.replays import ReplayedRun, ReplayedStep

MOST_STEPS = 1000
"""Steps of a run that are listed; all are counted."""
RUN_NOTES = (
    "a replay: nothing was sent, held or recorded. Locks, rates, pins and identity are not decided "
    "again: what they refused stays refused",
    "an approval that was given then counts for whatever now asks for one",
    "budgets: what the run used then, beside what others had used before it began, as far as the "
    "plane had written that down; not what others used meanwhile",
    "after the first step that differs, the steps are those of then: its agent might have done "
    "something else",
)


class RunReplay:
    """Takes the steps of a run in order."""

    def __init__(self, run: str, catalogue: Catalogue, balances: Balances) -> None:
        self._run = run
        self._catalogue = catalogue
        self._balances = balances
        self._steps: list[ReplayedStep] = []
        self._count = 0
        self._diverges_at: int | None = None
        self._before = self._after = self._blocked = self._allowed = 0

    def take(self, row: Row, was: Recorded) -> Redecision:
        """Decide the next step again."""
        self._balances.begin(_used(row))
        anew = decide_again(was, self._catalogue, self._balances)
        ran = was.verdict == "permit"
        verdict: Verdict | None = None
        cost: int | None = None
        model: str | None = None
        if anew.how == "skipped":
            # taken to be what it was, in all that is counted
            cost = row.cost_micros
            if ran:
                self._balances.assume(self._caps(was), was.at)
                self._balances.post(None)
        elif anew.ruling is None:
            verdict, cost = was.verdict, 0
        elif anew.ruling.verdict != "permit":
            verdict, cost = anew.ruling.verdict, 0
        else:
            verdict, model = "permit", _another_model(row, anew.progress)
            cost = _cost(row, anew.progress, self._catalogue) if ran else None
            self._balances.post(cost)
        self._count += 1
        differs = verdict is not None and verdict != was.verdict
        step = ReplayedStep(
            step=self._count,
            decision=was.decision,
            at=was.at,
            kind=was.kind,
            name=was.name,
            before=was.verdict,
            before_rule=was.rule,
            before_reason=was.reason,
            how=anew.how,
            after=verdict,
            after_rule=anew.ruling.rule if anew.ruling else _kept(anew, was.rule),
            after_reason=anew.ruling.reason if anew.ruling else _kept(anew, was.reason),
            why=_why(row, was, anew),
            differs=differs,
            supposed=self._diverges_at is not None,
            cost_before=row.cost_micros,
            cost_after=cost,
            model_after=model,
        )
        self._tally(step)
        return anew

    def _tally(self, step: ReplayedStep) -> None:
        if step.differs:
            self._blocked += step.before == "permit"
            self._allowed += step.after == "permit"
            if self._diverges_at is None:
                self._diverges_at = step.step
        self._before += step.cost_before
        self._after += step.cost_after or 0
        if len(self._steps) < MOST_STEPS:
            self._steps.append(step)

    def _caps(self, was: Recorded) -> tuple[Cap, ...]:
        if was.facts is None:
            return ()
        model = was.name if was.kind == "model" else None
        return self._catalogue.caps.over(was.facts, model).caps

    def result(self) -> ReplayedRun:
        """Return what came of it so far."""
        return ReplayedRun(
            run=self._run,
            steps=tuple(self._steps),
            left_out=self._count - len(self._steps),
            diverges_at=self._diverges_at,
            cost_before=self._before,
            cost_after=self._after,
            blocked=self._blocked,
            allowed=self._allowed,
        )


def begin_run_replay(
    tx: Transaction, run: str, catalogue: Catalogue, *, changed: bool
) -> RunReplay:
    """Return what takes the steps of a run; `changed`: some budget is another than it was.

    Raises `NotFound` if there is no such run.
    """
    facts = known_run(tx, run)
    began = facts.opened_at or 0
    caps = tuple(dict.fromkeys(_caps_over(tx, facts, catalogue)))
    before = posted_by(tx, [cap for cap in caps if cap.period != "run"], run=run, at=began)
    return RunReplay(run, catalogue, Balances(run, before, changed=changed))


def _caps_over(tx: Transaction, facts: RunFacts, catalogue: Catalogue) -> Iterator[Cap]:
    named = select(decisions.c.name).where(
        decisions.c.run == facts.run, decisions.c.kind == "model"
    )
    models = sorted(tx.connection.execute(named.distinct()).scalars())
    for model in (None, *models):
        yield from catalogue.caps.over(facts, model).caps


def _used(row: Row) -> Amounts:
    """Return what a step came to use; nothing where it did not run, or has not ended."""
    if row.settled_at is None:
        return {}
    return {
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "tokens": row.input_tokens + row.output_tokens,
        "spend": row.cost_micros,
        "wall_time": max(0, row.settled_at - row.at),
    }


def _another_model(row: Row, progress: Progress | None) -> str | None:
    routed = progress.routed if progress is not None else None
    if routed is None or row.kind != "model" or routed.model == (row.model or row.name):
        return None
    return routed.model


def _cost(row: Row, progress: Progress | None, catalogue: Catalogue) -> int:
    """Return what a step that ran would cost; its own cost where it goes where it went."""
    routed = progress.routed if progress is not None else None
    if routed is None or not routed.targets or row.provider is None:
        return int(row.cost_micros)
    if any((one.provider, one.model) == (row.provider, row.provider_model) for one in
           routed.targets):  # fmt: skip
        return int(row.cost_micros)
    model, first = catalogue.models.get(routed.model), routed.targets[0]
    for target in model.targets if model is not None else ():
        if (target.provider.name, target.model.name) == (first.provider, first.model):
            used = Usage(
                input_tokens=row.input_tokens,
                output_tokens=row.output_tokens,
                cache_read_tokens=row.cache_read_tokens or 0,
                cache_write_tokens=row.cache_write_tokens or 0,
            )
            return target.price.cost(used) if target.price is not None else int(row.cost_micros)
    return int(row.cost_micros)


def _kept(anew: Redecision, text: str) -> str | None:
    return text if anew.how == "kept" else None


def _why(row: Row, was: Recorded, anew: Redecision) -> str | None:
    """Say why a step was not decided again, or on less than was known then."""
    if anew.how == "kept":
        pins = was.rule.endswith(UNPINNED)
        return (
            f"{'pins are' if pins else was.rule.partition('/')[0] + ' rules are'} not decided again"
        )
    if was.facts is None:
        return "its run is not on record any more"
    if row.arguments == ERASED_JSON:
        return "its arguments were erased"
    if was.action is None:
        return "its arguments were not kept"
    if was.intact:
        return None
    if anew.how == "skipped":
        return (
            "its arguments are kept without personal data or secrets, and no policy was asked then"
        )
    return (
        "its arguments are kept without personal data or secrets: what the contract checks of them "
        "is taken as it was, and policies are asked what they were asked then"
    )
