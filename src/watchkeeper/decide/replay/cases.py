"""Running cases through the decision path."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

from watchkeeper.core.errors import Invalid
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.model import Action
from watchkeeper.decide.replay.rehearsal import RehearsalFacts, Rehearsed, rehearse, run_at_rest
from watchkeeper.registry.cases import Case, Placed
from watchkeeper.wire.decisions import DutyKind

_MOST_SHOWN = 5


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What came of a case."""

    name: str
    where: str
    passed: bool
    expected: str
    came: str
    reason: str
    rule: str
    decided: frozenset[str]
    """The policies that had a part in it."""


def run_cases(catalogue: Catalogue, cases: Iterable[Placed], now: int) -> list[CaseResult]:
    """Return what comes of each case, in order."""
    return [_run(catalogue, placed, now) for placed in cases]


def check_cases(catalogue: Catalogue, cases: Iterable[Placed], now: int) -> None:
    """Raise `Invalid` that points at the first case that fails, and tells of the others."""
    failed = [result for result in run_cases(catalogue, cases, now) if not result.passed]
    if not failed:
        return
    first = failed[0]
    others = "".join(
        f"; {one.where}: {one.name!r} expected {one.expected}, came {one.came}"
        for one in failed[1:_MOST_SHOWN]
    )
    more = len(failed) - _MOST_SHOWN
    raise Invalid(
        f"the case {first.name!r} fails: expected {first.expected}, "
        f"came {first.came}: {first.reason}" + others + (f"; and {more} more" if more > 0 else ""),
        code="case_failed",
        where=first.where,
        remedy="correct the policy or the case; nothing was changed",
    )


def undecided(catalogue: Catalogue, results: Sequence[CaseResult]) -> list[str]:
    """Return the policies in which no case had its answer, in order."""
    decided = frozenset[str]().union(*(result.decided for result in results))
    return [name for name in catalogue.engine.names if name not in decided]


def _run(catalogue: Catalogue, placed: Placed, now: int) -> CaseResult:
    case, given = placed.case, placed.case.given
    facts = RehearsalFacts(
        now,
        catalogue,
        run_at_rest(catalogue, given.agent, given.environment, given.on_behalf_of),
        model=given.answered_by,
    )
    action = Action(
        given.kind, given.name, given.arguments, given.estimate, fulfils=get_args(DutyKind)
    )
    try:
        found = rehearse(action, facts, frozenset(given.approvals))
    except Invalid as error:
        return CaseResult(
            case.name,
            placed.where,
            passed=False,
            expected=_expected(case),
            came="no answer",
            reason=str(error),
            rule="",
            decided=frozenset(),
        )
    return CaseResult(
        case.name,
        placed.where,
        passed=_fits(case, found),
        expected=_expected(case),
        came=_came(found),
        reason=found.ruling.reason,
        rule=found.rule,
        decided=_policies(found),
    )


def _fits(case: Case, found: Rehearsed) -> bool:
    expect = case.expect
    return (
        found.ruling.verdict == expect.verdict
        and expect.rule in (None, found.rule)
        and (expect.role is None or (found.asked is not None and found.asked.role == expect.role))
    )


def _expected(case: Case) -> str:
    expect = case.expect
    return _say(expect.verdict, expect.rule, expect.role)


def _came(found: Rehearsed) -> str:
    held = found.ruling.verdict == "hold" and found.asked is not None
    role = found.asked.role if held and found.asked else None
    return _say(found.ruling.verdict, found.rule, role)


def _say(verdict: str, rule: str | None, role: str | None) -> str:
    return verdict + (f" of {role}" if role else "") + (f" by {rule}" if rule is not None else "")


def _policies(found: Rehearsed) -> frozenset[str]:
    answer = found.progress.policy
    if answer is None:
        return frozenset()
    return frozenset({answer.policy, *(ask.policy for ask in answer.asks)})
