"""What was spent, as chargeback has it, held against the outcomes that the ledger has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import update

from tests.decide.spending.ground import TEAMS, Ground, open_ground
from tests.ledger.ground import NAME
from tests.reports.ground import in_words, table
from watchkeeper.decide.reports.making import Reporting
from watchkeeper.decide.reports.model import Asked
from watchkeeper.decide.tables import decisions
from watchkeeper.ledger.log import Log
from watchkeeper.ledger.service import LedgerAudit
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.reports import Report


@pytest.fixture
async def ground(database_url: str) -> AsyncIterator[Ground]:
    opened = await open_ground(database_url)
    yield opened
    await opened.store.close()


async def report(ground: Ground, place: Path, **more: object) -> Report:
    log = Log(ground.store, place, NAME)
    await log.open()
    reporting = Reporting(ground.store, LedgerAudit(log), "plane-1")

    async def never() -> bool:
        return False

    known: dict[str, object] = {"since": 0, "until": ground.clock.now() + 1, "rows": 100, **more}
    asked = Asked("spending", **known)  # type: ignore[arg-type]
    return await reporting.make(asked, in_words, by="person/bob", gone=never)


async def test_sums_add_up_and_the_ledger_says_the_same(ground: Ground, tmp_path: Path) -> None:
    for cost in (500_000, 30, 0):
        await ground.act("clerk", cost, tokens=7)
    await ground.act("reader", 70)
    await ground.ask("reader")
    found = await report(ground, tmp_path / "state")
    assert [(row[0], row[2], row[7]) for row in table(found, "Teams and projects")] == [
        ("finance-ops", 3, 500_030), ("research", 1, 70), ("total", 4, 500_100),
    ]  # fmt: skip
    assert [row[0] for row in table(found, "Agents")] == ["clerk", "reader", "total"]
    compared = table(found, "Held against the ledger")
    assert [(row[0], row[3]) for row in compared] == [
        ("clerk", "the same"), ("reader", "the same"),
    ]  # fmt: skip
    assert any(one.startswith("1 actions that have not ended") for one in found.missing)
    short = await report(ground, tmp_path / "state", rows=1)
    assert [row[0] for row in table(short, "Agents")] == ["clerk", "all others", "total"]
    (agents,) = [one for one in short.sections if one.title == "Agents"]
    assert agents.total - len(agents.rows) == 1
    ours = await report(
        ground, tmp_path / "state", teams=(TEAMS["reader"],), agents=frozenset({"reader"})
    )
    assert [(row[0], row[6]) for row in table(ours, "Agents")] == [("reader", 70), ("total", 70)]
    assert ours.source.counted == 1


async def test_a_changed_cost_is_found_by_the_ledger(ground: Ground, tmp_path: Path) -> None:
    decision = await ground.act("clerk", 500_000)
    await ground.act("reader", 70)

    def lower(tx: Transaction) -> None:
        tx.silent("a test alters what is kept")
        where = decisions.c.decision == decision
        tx.connection.execute(update(decisions).where(where).values(cost_micros=1_000))

    await ground.store.write(lower)
    compared = table(await report(ground, tmp_path / "state"), "Held against the ledger")
    assert [(row[0], row[3]) for row in compared] == [
        ("clerk", "DIFFERS by -$0.499"), ("reader", "the same"),
    ]  # fmt: skip
