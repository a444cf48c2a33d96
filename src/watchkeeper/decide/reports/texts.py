"""Reports as CSV and Markdown: hostile texts in them are only text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from watchkeeper.core.cells import in_markdown, in_sheet, markdown_row
from watchkeeper.core.clock import utc_text
from watchkeeper.core.words import count
from watchkeeper.wire.reports import Cell, Report, ReportSection

LONGEST_CELL = 500
_LONGEST_NOTE = 20_000


def as_csv(report: Report) -> str:
    """Return RFC 4180 text: one table of all sections, whose columns are those of any of them.

    What is said of the report comes first, in lines that begin with `#` (the comment prefix of
    "Model for Tabular Data", W3C 2015). Every text is quoted, so that no separator within it begins
    another cell.
    """
    out = io.StringIO(newline="")
    for note in notes(report):
        out.write(f"# {in_sheet(note, _LONGEST_NOTE)}\r\n")
    for section in report.sections:
        if left := left_out(section):
            out.write(f"# {in_sheet(f'{section.title}: {left}', _LONGEST_NOTE)}\r\n")
    write = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n").writerow
    columns = list(dict.fromkeys(name for one in report.sections for name in one.columns))
    places = {name: place for place, name in enumerate(columns, 1)}
    write(["section", *(in_sheet(name, LONGEST_CELL) for name in columns)])
    for section in report.sections:
        into = [places[name] for name in section.columns]
        for row in section.rows:
            cells: list[Cell] = [in_sheet(section.title, LONGEST_CELL), *[""] * len(columns)]
            for place, cell in zip(into, row, strict=True):
                text = isinstance(cell, str)
                cells[place] = in_sheet(str(cell), LONGEST_CELL) if text else cell
            write(["" if cell is None else cell for cell in cells])
    return out.getvalue()


def as_markdown(report: Report) -> str:
    """Return headings and tables (GFM 4.10)."""
    lines = [f"# {in_markdown(report.title, LONGEST_CELL)}", ""]
    lines += [f"- {in_markdown(note, _LONGEST_NOTE)}" for note in notes(report)]
    for section in report.sections:
        lines += ["", f"## {in_markdown(section.title, LONGEST_CELL)}", ""]
        if section.says:
            lines += [in_markdown(section.says, LONGEST_CELL), ""]
        if not section.rows:
            lines.append("None.")
            continue
        marks = ["--:" if number else ":--" for number in are_numbers(section)]
        lines += [markdown_row(in_markdown(one, LONGEST_CELL) for one in section.columns),
                  markdown_row(marks)]  # fmt: skip
        lines += [markdown_row(in_markdown(shown(cell), LONGEST_CELL) for cell in row)
                  for row in section.rows]  # fmt: skip
        if left := left_out(section):
            lines += ["", left]
    return "\n".join([*lines, ""])


def notes(report: Report) -> Iterator[str]:
    """Yield what is to be known of a report, in sentences."""
    yield (
        f"Period: from {utc_text(report.since)} to before {utc_text(report.until)}"
        + ("." if report.over else "; it is not over.")
    )
    seen = "every team" if report.teams is None else ", ".join(report.teams) or "no team"
    yield f"Of: {seen}; plane {report.plane}."
    yield f"Made {utc_text(report.produced_at)} for {report.produced_by} by {report.program}."
    yield f"Counted: {report.counted}."
    yield f"Counted from: {_entries(report)}"
    yield f"Proven by: {_proof(report)}"
    for missing in report.missing:
        yield f"Not in it: {missing}."


def _entries(report: Report) -> str:
    source = report.source
    if not source.last:
        return "nothing: the ledger has no entry of the period."
    return (
        f"ledger entries {source.first:,} to {source.last:,} ({source.entries:,} looked "
        f"through), of which {source.counted:,} count."
    )


def _proof(report: Report) -> str:
    source = report.source
    if not source.last:
        return "nothing."
    if source.checkpoint is None or source.signed_at is None:
        return "no signed checkpoint yet; nothing shows that the entries are what was written."
    signed = (
        f"checkpoint {source.checkpoint} of {source.origin}, signed {utc_text(source.signed_at)} "
        f"over {source.size:,} entries with root {source.root}. "
    )
    if not source.unanchored:
        return f"{signed}All of it is anchored outside."
    if source.unanchored == source.entries:
        what = "None of its entries is"
    else:
        what = f"Its last {source.unanchored:,} entries are not"
    return (
        f"{signed}{what} anchored outside: whoever has the key could rewrite them or cut them off "
        "without a trace."
    )


def left_out(section: ReportSection) -> str:
    """Say how many rows are not listed; nothing where all are."""
    more = section.total - len(section.rows)
    return f"{count(more, 'row')} more; as CSV there is room for more of them." if more > 0 else ""


def are_numbers(section: ReportSection) -> list[bool]:
    """Tell of each column whether it holds numbers."""
    columns = zip(*section.rows, strict=True) if section.rows else [() for _ in section.columns]
    return [
        any(isinstance(cell, int) for cell in column)
        and not any(isinstance(cell, str) for cell in column)
        for column in columns
    ]


def shown(cell: Cell) -> str:
    """Return a cell as people read it."""
    if cell is None:
        return ""
    return f"{cell:,}" if isinstance(cell, int) else cell
