"""The chargeback report as CSV and as Markdown: hostile names in it are only text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from watchkeeper.core.cells import in_markdown, in_sheet, markdown_row
from watchkeeper.core.clock import utc_text
from watchkeeper.core.money import dollars
from watchkeeper.core.text import make_safe
from watchkeeper.core.wall import wall_clock
from watchkeeper.wire.spending import Chargeback, ChargebackRow

_FIGURES = {
    "calls": "calls",
    "failed": "failed",
    "unknown": "unknown",
    "input_tokens": "tokens in",
    "output_tokens": "tokens out",
    "cache_read_tokens": "tokens cached",
    "cost_micros": "cost (micro-dollars)",
    "value_micros": "value moved (micro-dollars)",
}
_LONGEST_NAME = 300
_LONGEST_NOTE = 20_000


def as_csv(report: Chargeback) -> str:
    """Return RFC 4180 text. What is said of the report comes first, in lines that begin with `#`
    (the comment prefix of "Model for Tabular Data", W3C 2015); its last line is the total.

    Every text is quoted, so that no separator within it begins another cell.
    """
    out = io.StringIO(newline="")
    for note in notes(report):
        out.write(f"# {in_sheet(note, _LONGEST_NOTE)}\r\n")
    write = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n").writerow
    write(["line", *report.by, *_FIGURES.values(), "cost", "share (percent)"])
    for kind, row in _lines(report):
        names = [in_sheet(row.names[one], _LONGEST_NAME) for one in report.by]
        figures = [getattr(row, name) for name in _FIGURES]
        write([kind, *names, *figures, row.cost, row.share_percent])
    return out.getvalue()


def as_markdown(report: Chargeback) -> str:
    """Return a Markdown table (GFM 4.10) under a heading and what is said of the report."""
    headings = [*report.by, "calls", "tokens in", "tokens out", "cached", "cost", "value", "share"]
    aligned = [":--"] * len(report.by) + ["--:"] * 7
    lines = [f"# Chargeback {in_markdown(report.period, _LONGEST_NAME)}", ""]
    lines += [f"- {in_markdown(line, _LONGEST_NOTE)}" for line in notes(report)]
    lines += ["", markdown_row(headings), markdown_row(aligned)]
    for kind, row in _lines(report):
        names = [in_markdown(row.names[one], _LONGEST_NAME) for one in report.by]
        if kind != "item":
            names = [f"**{kind}**", *[""] * (len(names) - 1)]
        figures = [
            f"{row.calls:,}",
            f"{row.input_tokens:,}",
            f"{row.output_tokens:,}",
            f"{row.cache_read_tokens:,}",
            in_markdown(row.cost, _LONGEST_NAME),
            in_markdown(dollars(row.value_micros), _LONGEST_NAME),
            f"{row.share_percent:.2f} %",
        ]
        lines.append(markdown_row([*names, *figures]))
    return "\n".join(lines) + "\n"


def notes(report: Chargeback) -> Iterator[str]:
    """Yield what is to be known of a report, in sentences."""
    clock = wall_clock(report.zone)
    first, last = (clock.aware(at).isoformat() for at in (report.since, report.until))
    yield f"period {report.period}, from {first} to before {last} ({report.zone})"
    yield f"produced {utc_text(report.produced_at)}" + (
        "" if report.over else "; the period is not over"
    )
    seen = "every team" if report.teams is None else ", ".join(report.teams) or "no team"
    yield f"of {seen}, by {', '.join(report.by)}; an action counts when it was permitted"
    yield "prices: " + ("; ".join(make_safe(one) for one in report.prices) or "nothing was charged")
    missing = report.not_counted
    if missing.unsettled:
        yield (
            f"not counted: {missing.unsettled:,} that have not ended; "
            f"budgets hold {dollars(missing.unsettled_micros)} for them"
        )
    else:
        yield "not counted: nothing; every action has ended"
    if report.total.unknown:
        yield (
            f"of {report.total.unknown:,} nobody knows how they ended; budgets count "
            f"{dollars(missing.unknown_micros)} for them beyond what is charged here"
        )


def _lines(report: Chargeback) -> Iterator[tuple[str, ChargebackRow]]:
    for row in report.rows:
        yield ("others" if row.others else "item"), row
    yield "total", report.total
