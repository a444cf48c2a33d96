"""Reports as HTML: one page that needs nothing else, loads nothing, runs nothing, and prints."""

from __future__ import annotations

from collections.abc import Iterator

from watchkeeper.core.cells import in_html
from watchkeeper.decide.reports.texts import LONGEST_CELL, are_numbers, left_out, notes, shown
from watchkeeper.wire.reports import Report, ReportSection

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""What the page itself forbids (CSP 3), whatever may have got into it."""
_LONGEST_NOTE = 20_000
_STYLE = """\
:root { color-scheme: light; }
body { font: 14px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem;
  color: #1a1a1a; background: #fff; }
h1 { font-size: 1.6rem; margin: 0 0 1rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .4rem; break-after: avoid; }
p { margin: .3rem 0; }
ul { padding-left: 1.2rem; margin: 0; }
table { border-collapse: collapse; width: 100%; margin-top: .5rem; font-size: .85rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .5rem;
  border-bottom: 1px solid #ccc; overflow-wrap: anywhere; }
th { border-bottom: 2px solid #555; }
thead { display: table-header-group; }
tr { break-inside: avoid; }
.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.gap { font-weight: bold; }
@page { size: A4 landscape; margin: 12mm; }
@media print { body { margin: 0; max-width: none; padding: 0; font-size: 10px; } }
"""
_EMPHASIS = ("GAP", "DIFFERS")


def as_html(report: Report) -> str:
    """Return the page."""
    return "".join(_parts(report))


def _parts(report: Report) -> Iterator[str]:
    title = in_html(report.title, LONGEST_CELL)
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{title}</title>\n<style>\n{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    )
    yield "<ul>\n"
    for note in notes(report):
        yield f"<li>{in_html(note, _LONGEST_NOTE)}</li>\n"
    yield "</ul>\n"
    for section in report.sections:
        yield from _section(section)
    yield "</body>\n</html>\n"


def _section(section: ReportSection) -> Iterator[str]:
    yield f"<h2>{in_html(section.title, LONGEST_CELL)}</h2>\n"
    if section.says:
        yield f"<p>{in_html(section.says, LONGEST_CELL)}</p>\n"
    if not section.rows:
        yield "<p>None.</p>\n"
        return
    numbers = [' class="n"' if number else "" for number in are_numbers(section)]
    yield "<table>\n<thead><tr>"
    for name, style in zip(section.columns, numbers, strict=True):
        yield f'<th scope="col"{style}>{in_html(name, LONGEST_CELL)}</th>'
    yield "</tr></thead>\n<tbody>\n"
    for row in section.rows:
        yield "<tr>"
        for cell, style in zip(row, numbers, strict=True):
            text = shown(cell)
            marked = ' class="gap"' if text.startswith(_EMPHASIS) else style
            yield f"<td{marked}>{in_html(text, LONGEST_CELL)}</td>"
        yield "</tr>\n"
    yield "</tbody>\n</table>\n"
    if left := left_out(section):
        yield f"<p>{in_html(left, LONGEST_CELL)}</p>\n"
