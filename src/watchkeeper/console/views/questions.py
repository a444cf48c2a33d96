"""Questions as text, so that one can be asked again, and answers as tables that lead on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from watchkeeper.console.blocks import Block
from watchkeeper.console.columns import Column
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span, span
from watchkeeper.console.views import answers, waterfall
from watchkeeper.console.words import actor_text, count_text, money_text, time_text
from watchkeeper.core.money import dollars
from watchkeeper.wire.asking import Answer, RestedOn, Saved, Spike, Touched
from watchkeeper.wire.base import Shown


class Line(Shown):
    """One line of an answer."""

    id: str
    """The question, and the line's number."""
    cells: Mapping[str, Any]
    pane: str = ""
    """Where it leads; nowhere where that is empty."""
    row: str | None = None
    filter: str | None = None


@dataclass(frozen=True)
class Table:
    """An answer to look through."""

    title: str
    columns: tuple[Column, ...]
    lines: Sequence[Line]
    answer: Answer

    def blocks(self, moment: Moment) -> list[Block]:
        """Write the whole answer, with what it counts and what is not in it."""
        if isinstance(self.answer, Spike):
            return answers.spike_blocks(self.answer, moment)
        if isinstance(self.answer, Touched):
            return answers.touched_blocks(self.answer, moment)
        if isinstance(self.answer, RestedOn):
            return answers.rested_on_blocks(self.answer, moment)
        assert isinstance(self.answer, Saved)
        return answers.saved_blocks(self.answer, moment)


def question(name: str, **parameters: str) -> str:
    """Write a question with its parameters; those without a value are left out."""
    return urlencode({"ask": name, **{key: one for key, one in parameters.items() if one}})


def read_question(text: str) -> dict[str, str]:
    """Read a question: its name under `ask`, and its parameters."""
    return dict(parse_qsl(text))


def table(asked: str, answer: Answer) -> Table:
    """Write an answer as a table."""
    if isinstance(answer, Spike):
        title = f"{answer.measure} by {answer.by}, against as long before"
        return Table(title, SPIKE, _numbered(asked, _spike(answer)), answer)
    if isinstance(answer, Touched):
        title = f"who touched data of class {answer.data}"
        return Table(title, TOUCHED, _numbered(asked, _touched(answer)), answer)
    if isinstance(answer, RestedOn):
        title = f"what {answer.name} rested on"
        return Table(title, RESTED, _numbered(asked, _rested(answer)), answer)
    assert isinstance(answer, Saved)
    lines = _numbered(asked, _groups(answer) if answer.groups else _steps(answer))
    return Table(answer.asks, GROUPS if answer.groups else STEPS, lines, answer)


def matches(line: Line, words: Sequence[str]) -> bool:
    """Whether a line has every word in what it says."""
    text = " ".join(cell.text for cell in line.cells.values()).lower()
    return all(word in text for word in words)


def _numbered(asked: str, lines: Iterator[Line]) -> list[Line]:
    return [one.model_copy(update={"id": f"{asked}#{n}"}) for n, one in enumerate(lines)]


SPIKE = (
    Column("rise", "RISE", 10, align="right"),
    Column("share", "SHARE", 5, align="right", priority=1),
    Column("before", "BEFORE", 10, align="right", priority=3),
    Column("during", "NOW", 10, align="right", priority=2),
    Column("what", "WHOSE", 40, least=24, grow=3),
    Column("runs", "RUNS", 6, align="right", priority=4),
)


def _spike(found: Spike) -> Iterator[Line]:
    money = found.measure == "cost"
    for part in found.rows:
        version = "" if part.version is None else f" version {part.version}"
        named = "" if part.version is None else f" version:{part.version}"
        up = part.rise > 0
        yield Line(
            id="",
            pane="runs",
            filter=f"agent:{part.agent}{named}",
            cells={
                "rise": span(f"{'+' * up}{_amount(part.rise, money)}", "warning" if up else "text"),
                "share": span("" if part.share is None else f"{part.share:.0%}", "text"),
                "before": span(_amount(part.before, money), "quiet"),
                "during": span(_amount(part.during, money), "text"),
                "what": span(f"{part.agent}{version}  {part.what or ''}".rstrip(), "strong"),
                "runs": span(count_text(part.runs), "quiet"),
            },
        )


def _amount(value: int, money: bool) -> str:
    return money_text(value) if money else count_text(value)


TOUCHED = (
    Column("at", "LAST", 9),
    Column("actions", "ACTIONS", 7, align="right"),
    Column("runs", "RUNS", 6, align="right", priority=2),
    Column("what", "WHO, AND IN WHAT", 44, least=24, grow=3),
)


def _touched(found: Touched) -> Iterator[Line]:
    for row in found.rows:
        versions = ", ".join(map(str, row.versions))
        yield Line(
            id="",
            pane="runs",
            filter=f"agent:{row.agent}",
            cells={
                "at": span(time_text(row.last), "quiet"),
                "actions": span(count_text(row.actions)),
                "runs": span(count_text(row.runs), "quiet"),
                "what": span(f"{row.agent}{f' version {versions}' * bool(versions)}", "strong"),
            },
        )
        for one in row.examples:
            yield Line(
                id="",
                **_to_step(one.run, one.key),
                cells={"at": span(time_text(one.at), "quiet"), "what": span(f"  {one.name}")},
            )


RESTED = (
    Column("at", "AT", 9),
    Column("basis", "BASIS", 10),
    Column("what", "WHAT", 32, least=20, grow=3),
    Column("ended", "ENDED", 12, priority=1),
    Column("by", "BY", 18, priority=2),
)


def _rested(found: RestedOn) -> Iterator[Line]:
    for row in found.rows:
        said = "◌ " if row.source == "agent" else ""
        by = actor_text(row.by) if row.by else row.rule or ""
        yield Line(
            id="",
            **_to_step(row.run, row.key),
            cells={
                "at": span(time_text(row.at), "quiet"),
                "basis": span(row.basis, "accent"),
                "what": span(f"{said}{row.name.removeprefix('execute_tool ')}"),
                "ended": span(row.outcome or "told", "quiet"),
                "by": span(by, "quiet"),
            },
        )


GROUPS = (
    Column("steps", "STEPS", 7, align="right"),
    Column("errors", "ERRORS", 6, align="right", priority=2),
    Column("refusals", "REFUSED", 7, align="right", priority=3),
    Column("cost", "COST", 9, align="right", priority=1),
    Column("runs", "RUNS", 6, align="right", priority=4),
    Column("what", "OF", 40, least=20, grow=3),
)
_FILTERS = {"agent": "agent", "version": "version", "principal": "for"}
"""What runs are narrowed to by what steps are grouped by."""


def _groups(found: Saved) -> Iterator[Line]:
    for group in found.groups:
        values = dict(zip(found.group_by, group.values, strict=True))
        narrowed = [f"{_FILTERS[by]}:{value}" for by, value in values.items()
                    if by in _FILTERS and value]  # fmt: skip
        run = values.get("run")
        leads: dict[str, Any] = {"pane": "runs", "filter": " ".join(narrowed)} if narrowed else {}
        yield Line(
            id="",
            **(_to_step(run, run) if run else leads),
            cells={
                "steps": span(count_text(group.steps)),
                "errors": _bad(group.errors),
                "refusals": _bad(group.refusals),
                "cost": span(money_text(group.cost_micros) if group.cost_micros else "", "text"),
                "runs": span(count_text(group.runs), "quiet"),
                "what": span("  ".join(one or "–" for one in group.values), "strong"),
            },
        )


def _bad(count: int) -> Span:
    return span(count_text(count), "critical" if count else "quiet")


STEPS = (
    Column("at", "AT", 9),
    Column("agent", "AGENT", 18, least=12, priority=2),
    Column("what", "STEP", 34, least=20, grow=3),
    Column("how", "HOW", 11),
    Column("cost", "COST", 8, align="right", priority=1),
    Column("why", "WHY", 24, priority=3, grow=1),
)


def _steps(found: Saved) -> Iterator[Line]:
    for row in found.steps:
        yield Line(
            id="",
            **_to_step(row.run, row.key),
            cells={
                "at": span(time_text(row.start), "quiet"),
                "agent": span(row.agent, "strong"),
                "what": span(waterfall.name_of(row)),
                "how": waterfall.how(row).span,
                "cost": span(dollars(row.cost_micros) if row.cost_micros else "", "text"),
                "why": span(row.error or row.rule or "", "quiet"),
            },
        )


def _to_step(run: str | None, key: str) -> dict[str, Any]:
    return {} if run is None else {"pane": "trace", "row": f"{run}:{key}"}
