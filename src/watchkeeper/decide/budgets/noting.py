"""What is done once as a budget reaches a level: people are told, or its spender is paused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from watchkeeper.budgets.filling import Level
from watchkeeper.budgets.model import Account, Filled, budget_id, written
from watchkeeper.budgets.noting import Once, note_once
from watchkeeper.budgets.periods import resets_at
from watchkeeper.budgets.responses import FULL, crossed, is_reached
from watchkeeper.core.clock import utc_text
from watchkeeper.decide.budgets.responding import Responding
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.model import Pause
from watchkeeper.identity.model import RunFacts
from watchkeeper.kill.model import LockTarget
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.budgets import Measure

PauseIn = Callable[[Transaction, LockTarget, str], str]
"""Puts a pause in force within a unit of work, for a reason; returns the lock."""
_MOST_KNOWN = 20_000
_Key = tuple[Account, Measure, int, Once, int, bool]


class Noting:
    """Notes levels in the unit of work that reaches them; each once for a period, as the store
    keeps it, and once more where a higher cap is used so far. What is noted already costs nothing.
    """

    def __init__(self) -> None:
        self.pause_in: PauseIn | None = None
        self._known: set[_Key] = set()

    def look(
        self, tx: Transaction, catalogue: Catalogue, run: RunFacts, filled: Iterable[Filled]
    ) -> None:
        """Note the levels that an action's hold has brought budgets to."""
        for one in filled:
            known = catalogue.responding.get(one.cap.document)
            if known is None or not is_reached(known.lowest, used=one.used, limit=one.limit):
                continue
            for level in crossed(known.warn_at, used=one.used, limit=one.limit):
                about = (one.account, one.cap.measure, level)
                anew = _is_passing(one, level)
                if self._first(tx, *about, "warn", cap=one.limit, anew=anew):
                    _warn(tx, run, one, level, known)
            for response in known.responses:
                early = response.do == "pause" and response.at < FULL
                if early and is_reached(response.at, used=one.used, limit=one.limit):
                    full = Level(one.cap, one.account, posted=one.used, topped=_topped(one))
                    anew = _is_passing(one, response.at)
                    self.pause(tx, catalogue, run, Pause(full, response.at), anew=anew)

    def pause(
        self,
        tx: Transaction,
        catalogue: Catalogue,
        run: RunFacts,
        pause: Pause,
        *,
        anew: bool = True,
    ) -> None:
        """Pause who spends a budget, once in its period under one cap; a person resumes."""
        level = pause.level
        about = (level.account, level.cap.measure, pause.at)
        if self.pause_in is None or not self._first(
            tx, *about, "pause", cap=level.limit, anew=anew
        ):
            return
        measure = level.cap.measure
        text = (
            f"budget {level.budget} is {level.percent} % used "
            f"({written(measure, level.used)} of {written(measure, level.limit)})"
        )
        targets = targets_of(catalogue, level.account.scope, run)
        locks = [self.pause_in(tx, target, text) for target in targets]
        paused = ", ".join(f"{target.words} is" for target in targets)
        tx.record(
            "budget.paused",
            actor="plane",
            subject=f"budget/{level.budget}",
            agent=run.agent,
            run=run.run,
            body={
                "budget": level.budget,
                "period_key": level.account.period_key,
                "measure": measure,
                "level": pause.at,
                "cap": level.limit,
                "locks": locks,
                "text": f"{text}: {paused} paused until a person resumes",
            },
        )

    def _first(
        self,
        tx: Transaction,
        account: Account,
        measure: Measure,
        level: int,
        does: Once,
        *,
        cap: int,
        anew: bool,
    ) -> bool:
        key = (account, measure, level, does, cap, anew)
        if key in self._known:
            return False
        first = note_once(tx, account, measure, level, does, cap=cap, anew=anew)
        tx.after_commit(lambda: self._remember(key))
        return first

    def _remember(self, key: _Key) -> None:
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known.add(key)


def targets_of(catalogue: Catalogue, scope: str, run: RunFacts) -> Sequence[LockTarget]:
    """Return what is paused for a budget: whose it is; of a person's, the run for them."""
    kind, _, name = scope.partition("/")
    match kind:
        case "all":
            return (LockTarget("everything", "*"),)
        case "team":
            return (LockTarget("team", name),)
        case "agent":
            return (LockTarget("agent", name),)
        case "model":
            return (LockTarget("model", name),)
        case "version":
            return (LockTarget("agent", name.partition("@")[0]),)
        case "project":
            agents = sorted(
                agent
                for agent, governed in catalogue.agents.items()
                if governed.contract.project == name
            )
            return tuple(LockTarget("agent", agent) for agent in agents)
        case _:
            return (LockTarget("run", run.run),)


def _warn(tx: Transaction, run: RunFacts, filled: Filled, level: int, known: Responding) -> None:
    cap, account = filled.cap, filled.account
    budget = budget_id(account.scope, cap.period, cap.measure)
    show = written(cap.measure, filled.used), written(cap.measure, filled.limit)
    zone = f" ({cap.zone})" if cap.zone != "UTC" else ""
    resets = resets_at(cap.period, tx.now, cap.zone)
    until = f", until {utc_text(resets)}" if resets else ""
    next_ = [one.words for one in known.responses if one.at > level or one.at == 100]
    tx.record(
        "budget.warned",
        actor="plane",
        subject=f"budget/{budget}",
        agent=run.agent,
        run=run.run,
        body={
            "budget": budget,
            "period_key": account.period_key,
            "measure": cap.measure,
            "level": level,
            "used": filled.used,
            "cap": filled.limit,
            "document": cap.document,
            "text": f"budget {budget} is {level} % used: {show[0]} of {show[1]} per "
            f"{cap.period}{zone}{until}" + (f"; {'; '.join(next_)}" if next_ else ""),
        },
    )


def _is_passing(filled: Filled, level: int) -> bool:
    """Tell whether it is this action that uses a budget so far."""
    return not is_reached(level, used=filled.used - filled.asked, limit=filled.limit)


def _topped(filled: Filled) -> int:
    return filled.limit - max(0, filled.cap.cap)
