"""The mapping of controls: each claim with what the ledger shows of it, gaps as gaps."""

from __future__ import annotations

from collections.abc import Iterator

from watchkeeper.decide.reports.mapping import Claim, Control, control_map
from watchkeeper.decide.reports.model import Asked, Rows, Say
from watchkeeper.decide.reports.queries import Count, Counting
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.reports import Cell, ReportSection

SHOWN, NOT_SHOWN, GAP = "shown", "not shown in this period", "GAP"


class Controls:
    """Counts what shows each claim."""

    title = "Controls"
    counted = (
        "entries that the named queries select; a claim is shown where each of its queries finds "
        "something, or nothing where nothing is what it claims"
    )
    missing = (
        "whether a control is enough, and whether people follow it where no agent acts: that is "
        "for an auditor to judge",
        "what no entry can show; gaps that are known are listed as gaps",
    )

    def __init__(self, asked: Asked, say: Say) -> None:
        self.asked = asked
        self._say = say
        self._map = control_map()
        self._counting = Counting(self._map.queries, asked.agents)

    def read(self, tx: Transaction, after: int, upto: int) -> list[Row]:
        """Count a stretch, in the database."""
        return self._counting.read(tx, after, upto)

    def take(self, read: list[Row]) -> int:
        """Add it up."""
        return self._counting.take(read)

    def finish(self, tx: Transaction) -> None:
        """Read examples."""
        self._counting.finish(tx, self.asked.since, self.asked.until, self._say)

    def sections(self) -> tuple[ReportSection, ...]:
        """Return a summary, a table for each framework, and the queries."""
        summary = Rows(self.asked.rows)
        tables = []
        for framework in self._map.frameworks:
            table = Rows(self.asked.rows)
            for control in framework.controls:
                rows = list(self._rows_of(control))
                told = [row[3] for row in rows if row[2]]
                summary.add(framework.id, control.id, control.title,
                            sum(one == SHOWN for one in told),
                            sum(one == NOT_SHOWN for one in told),
                            sum(one == GAP for one in told))  # fmt: skip
                for row in rows:
                    table.add(*row)
            tables.append(
                table.section(framework.title, framework.note, "control", "title", "claim",
                              "state", "query", "count", "e.g. entry")
            )  # fmt: skip
        return (
            summary.section(
                "Summary", "How many claims of each control the period shows, how many it does "
                "not, and how many gaps there are.", "framework", "control", "title", SHOWN,
                "not shown", "gaps",
            ),
            *tables,
            self._queries(),
        )  # fmt: skip

    def _rows_of(self, control: Control) -> Iterator[tuple[Cell, ...]]:
        """Yield a row for each query of each claim; the claim and its state stand in the first."""
        for claim in control.claims:
            state: Cell = self._state(claim)
            words: Cell = claim.claim
            for name in filter(None, (*claim.shown_by, claim.none_of)):
                count = self._counting.counts[name]
                yield (
                    control.id,
                    control.title,
                    words,
                    state,
                    name,
                    count.number,
                    _examples(count),
                )
                words = state = ""
        for gap in control.gaps:
            yield control.id, control.title, gap, GAP, "", None, ""

    def _state(self, claim: Claim) -> str:
        counts = self._counting.counts
        numbers = [counts[name].number for name in claim.shown_by]
        if claim.none_of:
            if any(numbers):
                return GAP
            return SHOWN if counts[claim.none_of].number else NOT_SHOWN
        return SHOWN if all(number >= claim.least for number in numbers) else NOT_SHOWN

    def _queries(self) -> ReportSection:
        table = Rows(self.asked.rows)
        for name, query in self._map.queries.items():
            table.add(name, query.says, query.words(), self._counting.counts[name].number)
        says = "What each counts; entries of a type: `watchkeeper events --type TYPE`."
        return table.section("Queries", says, "query", "counts", "selects", "count")


def _examples(count: Count) -> str:
    return "; ".join(count.examples) or ""
