"""`traces compare`: two runs side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from watchkeeper.cli.output import print_json, print_table, say, say_line
from watchkeeper.cli.session import Session, speaks
from watchkeeper.core.money import dollars
from watchkeeper.core.words import count

if TYPE_CHECKING:
    from watchkeeper.wire.asking import Compared, Figures, Step

_SIGNS = {"same": " ", "changed": "~", "only_a": "-", "only_b": "+"}


@click.command(short_help="Show two runs side by side.")
@click.argument("a")
@click.argument("b")
@click.option("--all", "every", is_flag=True, help="Also the steps that are the same.")
@speaks()
def compare(session: Session, a: str, b: str, every: bool) -> None:
    """Show runs A and B side by side: `-` only in A, `+` only in B, `~` differs.

    Steps stand against each other by what was called, in order. Cost and time differ from twice
    as much on.
    """
    found = session.call(lambda plane: plane.compare(a, b))
    if session.json:
        print_json(found)
        return
    print_table(
        ("", "RUN", "AGENT", "OUTCOME", "TOOK", "COST", "TOKENS", "CALLS", "REFUSED"),
        [_figures("A", found.a), _figures("B", found.b)],
    )
    rows = [row for row in found.rows if every or row.change != "same"]
    same = sum(row.change == "same" for row in found.rows)
    say()
    if rows:
        print_table(
            ("", "STEP", "A", "B", "DIFFERS", "A: ID", "B: ID"),
            [_row(row) for row in rows],
        )
    say_line(f"{count(same, 'step')} the same, {len(found.rows) - same} not.")
    for missing in found.missing:
        say_line(f"Not compared: {missing}.")


def _figures(sign: str, of: Figures) -> tuple[object, ...]:
    version = f" version {of.version}" if of.version is not None else ""
    return (
        sign, of.run, f"{of.agent}{version}", of.outcome or "-", _took(of.took_ms),
        dollars(of.cost_micros), f"{of.tokens:,}", of.calls, of.refusals,
    )  # fmt: skip


def _row(row: Compared) -> tuple[object, ...]:
    names = [step.name for step in (row.a, row.b) if step is not None]
    return (
        _SIGNS[row.change],
        " > ".join(dict.fromkeys(names)),
        _step(row.a),
        _step(row.b),
        ", ".join(row.differs) or "-",
        row.a.key if row.a else "-",
        row.b.key if row.b else "-",
    )


def _step(step: Step | None) -> str:
    if step is None:
        return "-"
    how = step.outcome or step.verdict or "-"
    rule = f" ({step.rule})" if step.verdict != "permit" and step.rule else ""
    cost = f" {dollars(step.cost_micros)}" if step.cost_micros else ""
    return f"{how}{rule}{cost} {_took(step.took_ms)}"


def _took(milliseconds: int | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds / 1000:.3f} s"
