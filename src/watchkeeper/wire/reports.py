"""Reports for people over a period, and the mapping of controls to what the ledger shows."""

from __future__ import annotations

from typing import Literal

from watchkeeper.wire.base import Shown

ReportKind = Literal[
    "access", "approvals", "kills", "policies", "operators", "spending", "controls"
]
ReportForm = Literal["json", "html", "markdown", "csv"]
Cell = str | int | None


class ReportSection(Shown):
    """One table of a report."""

    title: str
    says: str = ""
    """What is counted or listed."""
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...] = ()
    total: int = 0
    """Rows there are; some may have been left out."""


class ReportSource(Shown):
    """What of the ledger a report is made of, and how that is proven."""

    first: int = 0
    """The first entry of the period; 0: there is none."""
    last: int = 0
    entries: int = 0
    """Entries of the period that were looked through."""
    counted: int = 0
    """Of them those that the report is made of."""
    origin: str = ""
    checkpoint: int | None = None
    """The smallest signed checkpoint that covers the last entry."""
    size: int = 0
    root: str = ""
    signed_at: int | None = None
    anchored: int = 0
    """Entries that an outside anchor has; what comes after could be cut off without a trace."""

    @property
    def unanchored(self) -> int:
        """How many entries of the period no anchor has."""
        return max(0, self.last - max(self.anchored, self.first - 1)) if self.last else 0


class Report(Shown):
    """One report."""

    kind: ReportKind
    title: str
    since: int
    until: int
    """Microseconds; the period ends before it."""
    over: bool
    produced_at: int
    produced_by: str
    teams: tuple[str, ...] | None = None
    """The only teams whose agents it is about; None: all of the plane."""
    plane: str = ""
    program: str = ""
    counted: str
    """What an entry has to be to be counted."""
    source: ReportSource
    missing: tuple[str, ...]
    """What cannot be in it, or was left out, in words."""
    sections: tuple[ReportSection, ...]
