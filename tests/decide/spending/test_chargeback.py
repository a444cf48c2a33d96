"""The chargeback report adds up, and nothing in it is more than text."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial

import hypothesis.strategies as st
import pytest
from hypothesis import given
from markdown_it import MarkdownIt
from sqlalchemy import insert

from tests.decide.spending.ground import Ground, open_ground
from watchkeeper.core.clock import MICROSECONDS, utc_text
from watchkeeper.core.errors import Invalid
from watchkeeper.core.text import make_safe
from watchkeeper.decide.spending.periods import ReportPeriod, read_period
from watchkeeper.decide.spending.report import read_chargeback
from watchkeeper.decide.spending.shares import shares
from watchkeeper.decide.spending.sums import Scope
from watchkeeper.decide.spending.texts import as_csv, as_markdown
from watchkeeper.models.tables import model_prices
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import Usage
from watchkeeper.wire.spending import Chargeback, ChargebackRow, SpendingBy

HOSTILE = (
    "=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1+1", "'=1",
    'a";=1', "a,=1", "a;=1", "a\n=1", "\u202e=1",
)  # fmt: skip


def span(text: str, zone: str = "UTC") -> tuple[str, str]:
    period = read_period(text, zone)
    return utc_text(period.since), utc_text(period.until)


@pytest.mark.parametrize(
    ("text", "zone", "first", "last"),
    [
        ("2026-11", "UTC", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
        ("2026-12", "UTC", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("2024-02", "UTC", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"),
        ("2026", "UTC", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("2026-W47", "UTC", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"),
        ("2026-W53", "UTC", "2026-12-28T00:00:00Z", "2027-01-04T00:00:00Z"),
        ("2026-11-20", "UTC", "2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z"),
        ("2026-11-01..2026-11-15", "UTC", "2026-11-01T00:00:00Z", "2026-11-16T00:00:00Z"),
        # both offsets of the zone are in it
        ("2026-10", "Europe/Berlin", "2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z"),
        ("2026-10-25", "Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
        ("2026-11", "Asia/Kolkata", "2026-10-31T18:30:00Z", "2026-11-30T18:30:00Z"),
    ],
)
def test_periods_are_whole_days_of_a_zone(text: str, zone: str, first: str, last: str) -> None:
    assert span(text, zone) == (first, last)


@pytest.mark.parametrize(
    "text",
    ["", "2026-13", "2025-W53", "2026-W00", "2026-11-31", "2026-11-15..2026-11-01", "..", "11-2026",
     "2026-11-01..", "9999", "0000", "1969", "2026-11 ; x", "２０２６-11",
     "2026-11-01..2026-11-02..x", "9" * 5000],
)  # fmt: skip
def test_what_is_no_period_is_refused_with_how_to_write_one(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_period(text)
    assert "2026-W47" in str(refused.value.remedy)


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(Invalid, match="is no time zone"):
        read_period("2026-11", "Mars/Base")


@given(st.lists(st.integers(0, 10**15), max_size=50))
def test_shares_add_up_exactly(parts: list[int]) -> None:
    found = shares(parts)
    whole = sum(parts)
    assert round(sum(round(one * 100) for one in found)) == (10_000 if whole else 0)
    for part, share in zip(parts, found, strict=True):
        assert abs(share - (100 * part / whole if whole else 0)) < 0.01 + 1e-9


def report(*names: str, cost: int = 1_500_001) -> Chargeback:
    def line(name: str, cost: int, share: float) -> ChargebackRow:
        return ChargebackRow(
            names={"team": "finance-ops", "object": name}, calls=1, failed=0, input_tokens=10,
            output_tokens=2, cache_read_tokens=0, cost_micros=cost, value_micros=0,
            share_percent=share, cost=f"${cost / 1e6}",
        )  # fmt: skip

    return Chargeback(
        period="2026-11",
        since=0,
        until=MICROSECONDS,
        zone="UTC",
        over=True,
        produced_at=0,
        by=("team", "object"),
        prices=("=cmd, =other",),
        total=line("", cost * len(names), 100),
        rows=tuple(line(name, cost, 100 / len(names)) for name in names),
    )


def test_no_cell_is_a_formula() -> None:
    text = as_csv(report(*HOSTILE))
    for separator in (",", ";", "\t"):
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
            for cell in row:
                assert not cell.strip().startswith(("=", "+", "-", "@", "＝")), (separator, row)
    table = [line for line in csv.reader(io.StringIO(text)) if not line[0].startswith("#")]
    assert {len(line) for line in table} == {len(table[0])}
    assert len(table) == len(HOSTILE) + 2
    assert table[1][:3] == ["item", "finance-ops", "'=cmd|' /C calc'!A0"]
    assert "\u202e" not in text
    assert text.count("\r\n") == text.count("\n")


def test_markdown_stays_one_table_of_text() -> None:
    hostile = (
        "a|b", "<script>", "[x](http://evil)", "![x](y)", "`x`", "**x**", "a\nb", "www.evil.com",
        "https://evil.com", "m@evil.com", "\\|x", "$x$", "~~x~~", "&lt;",
    )  # fmt: skip
    tokens = MarkdownIt("commonmark").enable("table").parse(as_markdown(report(*hostile)))
    inside = [token for token in tokens if token.type == "inline"]
    cells = [token for token in inside if token.level > 2]
    assert [token.type for token in tokens].count("table_open") == 1
    shown = ["".join(part.content for part in token.children or ()) for token in cells]
    for name in hostile:
        assert make_safe(name) in shown, name
    kinds = {part.type for token in inside for part in token.children or ()}
    assert kinds <= {"text", "text_special", "strong_open", "strong_close"}
    # bare addresses are links in GFM
    whole = as_markdown(report(*hostile))
    for raw in ("www.evil", "://evil", "m@evil"):
        assert raw not in whole, raw


@pytest.fixture
async def ground(database_url: str) -> AsyncIterator[Ground]:
    """Two agents at work, once on SQLite and once on PostgreSQL."""
    opened = await open_ground(database_url)
    yield opened
    await opened.store.close()


def today(ground: Ground) -> ReportPeriod:
    day = datetime.fromtimestamp(ground.clock.now() // MICROSECONDS, UTC).date()
    return read_period(day.isoformat())


async def test_lines_add_up_to_the_total_also_where_most_are_left_out(ground: Ground) -> None:
    for cost in (500_001, 30, 2, 1, 0):
        await ground.begin("clerk", f"person/p{cost}")
        await ground.act("clerk", cost, tokens=7)
    await ground.act("reader", 10)
    await ground.ask("reader", estimate=Usage(cost_micros=44))
    period = today(ground)
    scope = Scope(period.since, period.until)
    by: tuple[SpendingBy, ...] = ("team", "project", "person")
    for lines in (100, 2):
        reading = partial(read_chargeback, period=period, by=by, scope=scope, lines=lines)
        found = await ground.store.scan(reading)
        for figure in ("calls", "input_tokens", "cost_micros", "value_micros", "failed"):
            parts = [getattr(row, figure) for row in found.rows]
            assert sum(parts) == getattr(found.total, figure), figure
        assert round(sum(row.share_percent for row in found.rows), 2) == 100
        assert (found.total.cost_micros, found.total.cost) == (500_044, "$0.500044")
        assert found.rows[0].names == {
            "team": "finance-ops", "project": "refunds", "person": "person/p500001",
        }  # fmt: skip
        assert [row.others for row in found.rows] == (
            [False] * 6 if lines == 100 else [False, False, True]
        )
        assert (found.not_counted.unsettled, found.not_counted.unsettled_micros) == (1, 44)
        assert not found.over
        text = as_markdown(found)
        assert "the period is not over" in text
        assert "1 that have not ended; budgets hold \\$0.000044" in text
        sums = list(csv.DictReader(io.StringIO(_table(as_csv(found)))))
        assert sums[-1]["line"] == "total"
        assert sum(int(row["cost (micro-dollars)"]) for row in sums[:-1]) == 500_044


async def test_it_says_where_prices_are_from(ground: Ground) -> None:
    await ground.act("clerk", 5, provider="local", provider_model="small-1")
    await ground.act("clerk", 5, provider="main", provider_model="gpt=5")
    now = ground.clock.now()
    day = 86_400 * MICROSECONDS
    found = [(1, now - 9 * day), (2, now - 5 * day), (3, now - 1), (4, now + 9 * day)]
    rows = [
        {
            "provider": "main", "model": "gpt=5", "version": version, "source": "data 1.2",
            "reference": "x", "valid_from": valid_from, "price": "{}", "noted_at": valid_from,
        }
        for version, valid_from in found
    ]  # fmt: skip

    def note(tx: Transaction) -> None:
        tx.silent("a test notes prices")
        tx.connection.execute(insert(model_prices), rows)

    await ground.store.write(note)
    period = today(ground)
    scope = Scope(period.since, period.until)
    report = await ground.store.scan(lambda tx: read_chargeback(tx, period, ("team",), scope))
    first, second = report.prices
    assert first == "local/small-1: the provider's document"
    assert second.startswith("main/gpt=5: version 2 of ")
    assert second.count("version") == 2
    assert ", then version 3 of " in second


async def test_an_empty_period_is_a_report_too(ground: Ground) -> None:
    period = read_period("2020-01")
    scope = Scope(period.since, period.until)
    found = await ground.store.scan(lambda tx: read_chargeback(tx, period, ("team",), scope))
    assert (found.rows, found.total.cost, found.over) == ((), "$0.00", True)
    assert "nothing; every action has ended" in as_csv(found)
    assert "prices: nothing was charged" in as_csv(found)


def _table(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))
