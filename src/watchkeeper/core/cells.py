"""Texts from anywhere as cells of tables: nothing in them is more than text."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from watchkeeper.core.text import make_safe

_FORMULA = re.compile(r"(^|[,;|\t\"'])(\s*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20\u2212])")
"""What a spreadsheet takes for a formula at the beginning of a cell (OWASP, "CSV Injection"),
full-width signs among it; and after what a cell begins for one that takes another separator."""
_MARKUP = re.compile(r"[\\`*_{}\[\]<>#|~&$@]|(?<=:)/(?=/)|(?<=www)\.", re.IGNORECASE)
"""What Markdown gives a meaning within a line (CommonMark 2.4 lets any ASCII punctuation be
escaped); bare addresses become links (GFM 6.9), and two dollar signs a formula in places."""


def in_sheet(text: str, limit: int) -> str:
    """Return a text that no spreadsheet runs: what looks like a formula is led by an apostrophe."""
    return _FORMULA.sub(r"\1\2'", make_safe(text, limit=limit))


def in_markdown(text: str, limit: int) -> str:
    """Return a text as one line that is nothing but words in Markdown, in a table too."""
    return _MARKUP.sub(r"\\\g<0>", make_safe(text, limit=limit))


def in_html(text: str, limit: int) -> str:
    """Return a text as one line that is nothing but words in HTML, within quotes too."""
    return html.escape(make_safe(text, limit=limit))


def markdown_row(cells: Iterable[str]) -> str:
    """Return a row of a table (GFM 4.10) of cells that are escaped already."""
    return f"| {' | '.join(cells)} |"
