"""A run step by step: as it was decided, and as other rules would decide it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from watchkeeper.console.blocks import Block, Code, Fact, Line, Prose, Quoted, Title
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span, span
from watchkeeper.console.views.aligned import aligned
from watchkeeper.console.views.contents import content_blocks
from watchkeeper.console.views.waterfall import OUTCOMES
from watchkeeper.console.words import (
    VERDICTS,
    Said,
    brief_text,
    count_text,
    measure_text,
    measure_word,
    moment_text,
    money_text,
    period_text,
    plural,
    say,
    time_text,
)
from watchkeeper.core.digest import canonical
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.core.money import dollars
from watchkeeper.wire.replays import (
    BudgetThen,
    ForkResult,
    ReplayedRun,
    ReplayedStep,
    StepDetail,
    StepRow,
)
from watchkeeper.wire.replays import Said as Words


@dataclass(frozen=True)
class Other:
    """A run as other rules would decide it."""

    run: ReplayedRun
    under: str
    """Which rules, in words."""
    notes: Sequence[str] = ()


def cells(row: StepRow, again: ReplayedStep | None) -> Mapping[str, Span]:
    """Return the cells of a step."""
    mark = ""
    if again is not None:
        mark = "*" if again.differs else "~" if again.supposed else ""
    refused = row.verdict != "permit"
    return {
        "step": span(f"{mark}{row.step}", "warning" if mark == "*" else "quiet"),
        "at": span(time_text(row.at), "quiet"),
        "name": span(row.name, "text" if refused else "strong"),
        "then": say(VERDICTS, row.verdict).span,
        "now": _now(again).span if again is not None else span("not known", "quiet"),
        "ended": ended(row).span,
        "rule": span((again and again.after_rule) or row.rule, "quiet"),
        "cost": span(money_text(row.cost_micros) if row.cost_micros else "", "text"),
        "before": span(money_text(row.spent_before), "quiet"),
    }


def _now(again: ReplayedStep) -> Said:
    if again.after is None or again.how == "skipped":
        return Said("?", "not known", "quiet")
    if again.differs:
        return say(VERDICTS, again.after)
    return Said("", "the same", "quiet")


def ended(row: StepRow) -> Said:
    """Say how it ended; nothing of what did not run."""
    if row.verdict != "permit":
        return Said("", "did not run", "quiet")
    return say(OUTCOMES, row.outcome or "running")


def troubled(row: StepRow, again: ReplayedStep | None) -> bool:
    """Whether somebody who steps through would stop here; decided again: whether it differs."""
    if again is not None:
        return again.differs
    return row.verdict != "permit" or row.error is not None


def matches(row: StepRow, words: str) -> bool:
    """Whether a step has every word of a filter in what its line says."""
    text = f"{row.name} {row.kind} {row.verdict} {say(VERDICTS, row.verdict).word} {row.rule} "
    text = f"{text} {row.reason} {row.outcome} {row.error} {row.decision}".lower()
    return all(word in text for word in words.lower().split())


def summary(other: Other) -> Sequence[Span]:
    """Say in one line what other rules would have changed of a run."""
    found, what = other.run, other.under
    cost = f"{dollars(found.cost_before)} → {dollars(found.cost_after)}"
    if found.diverges_at is None:
        return (span(f"{what}: no verdict differs", "good"), span(f"  {cost}", "quiet"))
    told = f"{found.blocked:,} stopped, {found.allowed:,} let through"
    return (
        span(f"{what}: differs from step {found.diverges_at} on", "warning"),
        span(f"  {told}  {cost}", "quiet"),
    )


def blocks(
    row: StepRow,
    detail: StepDetail | None,
    again: ReplayedStep | None,
    other: Other | None,
    moment: Moment,
) -> list[Block]:
    """Write a step: what was asked, decided, known, and what went in and came out."""
    of = f" of {detail.steps:,}" if detail is not None else ""
    held: list[Block] = [
        Prose(f"Step {row.step:,}{of}: {row.name}", "strong"),
        Line([say(VERDICTS, row.verdict).span, span("  "), ended(row).span]),
        Fact("by", row.rule),
        Quoted("why", row.reason, 8),
    ]
    if row.error:
        held.append(Quoted("what went wrong, in the words of who refused or failed", row.error, 8))
    if again is not None and other is not None:
        held += [Title(f"Under {other.under}"), *_again(again)]
    held += [Title("Then"), *_then(row, moment)]
    if detail is None:
        return [*held, Prose("reading …", "quiet")]
    held += _known(detail)
    held += [Title("What went in and came out"), *content_blocks(detail.contents)]
    held += [Prose(note, "quiet") for note in detail.notes]
    if detail.budgets:
        held += [Title("Budgets before it; caps as they are now")]
        held += aligned(map(_budget, detail.budgets))
    if other is not None:
        held += [Title("What deciding it again can tell")]
        held += [Prose(f"{note}.", "quiet") for note in other.notes]
    return held


def _again(again: ReplayedStep) -> Iterator[Block]:
    yield Fact("decided", _now(again).span)
    if again.after_rule:
        yield Fact("by", again.after_rule)
    if again.differs and again.after_reason:
        yield Quoted("why", again.after_reason, 8)
    if again.why:
        yield Prose(f"{again.why}.", "quiet")
    if again.supposed:
        yield Prose(
            "~ A step before it would have been decided otherwise: the agent might not have come "
            "here.",
            "warning",
        )
    if again.model_after:
        yield Fact("answered by", again.model_after)
    after = "nobody knows" if again.cost_after is None else dollars(again.cost_after)
    yield Fact("cost", f"{dollars(again.cost_before)}, then {after}")


def _then(row: StepRow, moment: Moment) -> Iterator[Block]:
    yield Fact("at", moment_text(row.at, moment.now))
    if row.took_ms is not None:
        yield Fact("took", f"{row.took_ms:,} ms")
    yield Fact("cost", f"{dollars(row.cost_micros)}, {count_text(row.tokens)} tokens")
    before = f"{dollars(row.spent_before)}, {count_text(row.tokens_before)} tokens"
    yield Fact("before it", before)
    yield Fact("under", f"version {row.version} of the contract")
    if row.request:
        yield Fact("request", row.request)
    yield Fact("decision", row.decision, "quiet")


def _known(detail: StepDetail) -> Iterator[Block]:
    if detail.model:
        yield Fact("answered by", detail.model)
    if detail.route:
        yield Fact("because", detail.route)
    if detail.policies is not None:
        yield Title("What was put to the policies")
        yield Code(_written(detail.policies), 200)
    for one in detail.would:
        yield Prose(f"! {one}", "warning")


def _written(value: Mapping[str, object]) -> str:
    try:
        return "\n".join(f"{name} = {canonical(value[name]).decode()}" for name in sorted(value))
    except WatchkeeperError as error:
        return f"this has no canonical form: {error.message}"


def _budget(one: BudgetThen) -> tuple[Span, ...]:
    used, cap = measure_text(one.measure, one.used), measure_text(one.measure, one.cap)
    counted = "" if one.counted_at is None else f", counted {time_text(one.counted_at)}"
    full = one.used >= one.cap
    words = f"{used} of {cap} {period_text(one.period)}"
    return (
        span(measure_word(one.measure)),
        span(f"■ {words}" if full else words, "critical" if full else "text"),
        span(f"{brief_text(one.budget)}{counted}", "quiet"),
    )


def asked_blocks(found: ForkResult) -> list[Block]:
    """Write what a fork would send."""
    held: list[Block] = [
        Fact("model", f"{found.model}, one call, {found.sent_bytes:,} bytes"),
        Fact("replaced", plural(found.replaced, "result of a tool", "results of a tool")),
        Prose(
            "One model call is made and paid for by the agent's budgets, under its contract, "
            "policies and locks. No tool is called; the run that was recorded stays as it is.",
            "warning",
        ),
    ]
    return [*held, *_said("what it said then", found.then)]


def fork_blocks(found: ForkResult) -> list[Block]:
    """Write what a model said to a changed recording, beside what it said then."""
    held: list[Block] = []
    if not found.answered:
        held.append(Prose("✗ No model answered.", "critical"))
        held.append(Quoted("why", found.error or "nothing was said", 8))
    elif found.differs is not None:
        said = "~ It said something else." if found.differs else "✓ It said the same."
        held.append(Prose(said, "warning" if found.differs else "good"))
    held += [*_said("now", found.now), *_said("then", found.then)]
    held += [Title("The replay"), Fact("cost", dollars(found.cost_micros))]
    if found.run is not None:
        held.append(Fact("run", found.run))
    return [*held, *(Prose(note, "quiet") for note in found.notes)]


def _said(when: str, said: Words | None) -> Iterator[Block]:
    yield Title(f"The model, {when}")
    if said is None:
        yield Prose("Not kept.", "quiet")
        return
    if said.text:
        yield Quoted("words", said.text, 6)
    for one in said.calls:
        yield Quoted("asks for a tool", one, 8)
