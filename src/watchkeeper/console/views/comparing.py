"""Two runs side by side, step by step."""

from __future__ import annotations

from watchkeeper.console.blocks import LABEL_CELLS, Blank, Block, Fact, Line, Prose, Title
from watchkeeper.console.painting import Span, Token, span
from watchkeeper.console.views.waterfall import OUTCOMES
from watchkeeper.console.words import RUN_STATES, VERDICTS, count_text, id_text, plural, say
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.money import dollars
from watchkeeper.wire.asking import Change, Compared, Comparison, Figures, Step

_MARKS: dict[Change, tuple[str, Token]] = {
    "same": ("  same", "quiet"),
    "changed": ("~ differs", "warning"),
    "only_a": ("− only A", "critical"),
    "only_b": ("+ only B", "good"),
}
_UNTOLD = 3
"""Steps in a row that are the same and are shown; more are counted."""


def blocks(found: Comparison) -> list[Block]:
    """Write the comparison: both runs, then their steps; what is the same is folded."""
    same = sum(row.change == "same" for row in found.rows)
    held: list[Block] = [
        Fact("A", _figures(found.a)),
        Fact("B", _figures(found.b)),
        Title(f"{plural(same, 'step')} the same, {len(found.rows) - same} not"),
    ]
    waiting: list[Compared] = []
    for row in found.rows:
        if row.change == "same":
            waiting.append(row)
            continue
        held += _folded(waiting)
        waiting = []
        held += _step_blocks(row)
    held += _folded(waiting)
    if not found.rows:
        held.append(Prose("Neither did anything.", "quiet"))
    held += [Prose(f"Not compared: {missing}.", "quiet") for missing in found.missing]
    return [*held, Blank(), Prose("Cost and time differ where one is twice the other.", "quiet")]


def _folded(rows: list[Compared]) -> list[Block]:
    shown = rows if len(rows) <= _UNTOLD else [rows[0], rows[-1]]
    held: list[Block] = [_line(row) for row in shown]
    if len(rows) > len(shown):
        held.insert(1, Fact("", f"… {len(rows) - 2} more the same", "quiet"))
    return held


def _figures(of: Figures) -> str:
    version = f" version {of.version}" if of.version is not None else ""
    state = say(RUN_STATES, "open" if of.outcome == "running" else of.outcome or "open")
    return (
        f"{of.agent}{version}  {state.text}  {_took(of.took_ms)}  {dollars(of.cost_micros)}  "
        f"{count_text(of.tokens)} tokens  {plural(of.calls, 'call')}, {of.refusals} refused  "
        f"{id_text(of.run)}"
    )


def _line(row: Compared) -> Block:
    words, token = _MARKS[row.change]
    names = dict.fromkeys(step.name for step in (row.a, row.b) if step is not None)
    quiet: Token = "quiet" if row.change == "same" else "text"
    differs = f"  differs in {', '.join(row.differs)}" if row.differs else ""
    return Line(
        [
            span(f"{words:<{LABEL_CELLS}}", token),
            span(" > ".join(names), quiet),
            span(differs, "warning"),
        ]
    )


def _step_blocks(row: Compared) -> list[Block]:
    sides = (("A", row.a), ("B", row.b))
    return [_line(row), *(Fact(f"     {sign}", _step(step)) for sign, step in sides if step)]


def _step(step: Step) -> Span:
    refused = step.verdict in ("hold", "deny")
    said = (
        say(VERDICTS, step.verdict or "") if refused else say(OUTCOMES, step.outcome or "running")
    )
    rule = f"  by {step.rule}" if refused and step.rule else ""
    cost = f"  {dollars(step.cost_micros)}" if step.cost_micros else ""
    return span(f"{said.text}{rule}{cost}  {_took(step.took_ms)}", said.token)


def _took(milliseconds: int | None) -> str:
    return "running" if milliseconds is None else f"{milliseconds * 1000 / MICROSECONDS:.3f} s"
