"""The chargeback report as CSV and as Markdown: hostile names in it are only text."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

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
_FORMULA = re.compile(r"(^|[,;|\t\"'])(\s*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20\u2212])")
"""What a spreadsheet takes for a formula at the beginning of a cell (OWASP, "CSV Injection"),
full-width signs among it; and after what a cell begins for one that takes another separator."""
_MARKUP = re.compile(r"[\\`*_{}\[\]<>#|~&$@]|(?<=:)/(?=/)|(?<=www)\.", re.IGNORECASE)
"""What Markdown gives a meaning within a line (CommonMark 2.4 lets any ASCII punctuation be
escaped); bare addresses become links (GFM 6.9), and two dollar signs a formula in places."""


def as_csv(report: Chargeback) -> str:
    """Return RFC 4180 text. What is said of the report comes first, in lines that begin with `#`
    (the comment prefix of "Model for Tabular Data", W3C 2015); its last line is the total.

    Every text is quoted, so that no separator within it begins another cell.
    """
    out = io.StringIO(newline="")
    for note in notes(report):
        out.write(f"# {_as_text(note)}\r\n")
    write = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n").writerow
    write(["line", *report.by, *_FIGURES.values(), "cost", "share (percent)"])
    for kind, row in _lines(report):
        names = [_as_text(make_safe(row.names[one], limit=_LONGEST_NAME)) for one in report.by]
        figures = [getattr(row, name) for name in _FIGURES]
        write([kind, *names, *figures, row.cost, row.share_percent])
    return out.getvalue()


def as_markdown(report: Chargeback) -> str:
    """Return a Markdown table (GFM 4.10) under a heading and what is said of the report."""
    headings = [*report.by, "calls", "tokens in", "tokens out", "cached", "cost", "value", "share"]
    aligned = [":--"] * len(report.by) + ["--:"] * 7
    lines = [f"# Chargeback {_escape(report.period)}", ""]
    lines += [f"- {_escape(line)}" for line in notes(report)]
    lines += ["", _table_row(headings), _table_row(aligned)]
    for kind, row in _lines(report):
        names = [_escape(make_safe(row.names[one], limit=_LONGEST_NAME)) for one in report.by]
        if kind != "item":
            names = [f"**{kind}**", *[""] * (len(names) - 1)]
        figures = [
            f"{row.calls:,}",
            f"{row.input_tokens:,}",
            f"{row.output_tokens:,}",
            f"{row.cache_read_tokens:,}",
            _escape(row.cost),
            _escape(dollars(row.value_micros)),
            f"{row.share_percent:.2f} %",
        ]
        lines.append(_table_row([*names, *figures]))
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


def _as_text(text: str) -> str:
    """Return a text that no spreadsheet runs: what looks like a formula is led by an apostrophe."""
    return _FORMULA.sub(r"\1\2'", text)


def _escape(text: str) -> str:
    return _MARKUP.sub(r"\\\g<0>", text)


def _table_row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
