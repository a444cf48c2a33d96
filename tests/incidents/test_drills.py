"""A drill says what a kill would do, and leaves nothing but its own record; on both stores."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import select

from tests.incidents.ground import stop
from tests.kill.guarded import Guarded
from watchkeeper.core.digest import digest
from watchkeeper.core.errors import Invalid
from watchkeeper.decide.kill.drills.holding import Drills
from watchkeeper.decide.notices.concerned import Notices
from watchkeeper.kill import drills as kept
from watchkeeper.kill.model import LockTarget
from watchkeeper.store.metadata import metadata
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import Ask
from watchkeeper.wire.drills import DrillReport
from watchkeeper.wire.locks import Mode, TargetKind

BOB = "person/bob"


@pytest.fixture
async def ground(store: Store) -> Guarded:
    return await Guarded.open(store)


async def hold(
    ground: Guarded, kind: TargetKind, name: str, mode: Mode = "stop"
) -> tuple[str, DrillReport]:
    drills = Drills(ground.decider, ground.kill, Notices(ground.decider.coverage, "root"))
    drill = await drills.hold(LockTarget(kind, name), mode=mode, reason="practice", by=BOB)
    row = await ground.store.read(lambda tx: kept.find(tx, drill))
    value = json.loads(row.report)
    assert row.digest == digest("watchkeeper/drill/v1", value)
    return drill, DrillReport.model_validate(value)


def everything(tx: Transaction) -> dict[str, set[tuple[Any, ...]]]:
    """Read every table, row by row."""
    return {
        table.name: {tuple(row) for row in tx.connection.execute(select(table))}
        for table in metadata.sorted_tables
    }


async def test_it_leaves_its_own_event_and_report_and_nothing_else(ground: Guarded) -> None:
    parent = await ground.open_run(behalf="ada")
    await ground.open_run("scribe", under=parent.token)
    held = await ground.ask(parent.token, "books.pay", to="x")
    assert held.request is not None
    flown = await ground.decider.decide(parent.token, Ask(name="books.read"), performer="plane")
    cut: list[str] = []
    ground.decider.flights.fly(flown.decision, lambda: cut.append("cut"), lambda _: None)
    kinds: tuple[tuple[TargetKind, str], ...] = (
        ("everything", "*"), ("agent", "clerk"), ("run", parent.run), ("tool", "books.pay"),
        ("approval", held.request), ("person", "ada"), ("provider", "near"), ("runtime", "graphs"),
    )  # fmt: skip
    modes: tuple[Mode, ...] = ("stop", "drain", "pause", "deny-new")
    for kind, name in kinds:
        for mode in modes if kind in ("everything", "agent") else modes[:1]:
            before = await ground.store.read(everything)
            drill, _ = await hold(ground, kind, name, mode)
            after = await ground.store.read(everything)
            new = {table: after[table] - before[table] for table in after}
            assert {table for table, rows in new.items() if rows} == {
                "drills", "events", "ledger_head",
            }, (kind, mode)  # fmt: skip
            gone = {table for table in before if before[table] - after[table]}
            assert gone == {"ledger_head"}, (kind, mode)
            (event,) = new["events"]
            assert (event[2], event[4]) == ("drill.held", f"drill/{drill}")
    assert ground.decider.locks == ()
    # what was open goes on, until it is meant
    assert (await ground.ask(parent.token, of=2)).verdict == "permit"
    assert cut == []
    await stop(ground, "agent", "clerk")
    assert cut == ["cut"]


async def test_it_says_what_would_be_refused_and_what_would_not(ground: Guarded) -> None:
    clerk = await ground.open_run()
    await ground.open_run("scribe")
    _, found = await hold(ground, "agent", "clerk")
    assert (found.radius.open_runs, found.runs, found.agents) == (1, 1, 1)
    assert found.checked == found.refused == 4  # its next run, two tools and a model
    assert found.refused_by == {"lock/rehearsed": 4}
    assert found.passing_count == 0
    assert found.decide_ms_longest >= found.decide_ms_median > 0
    assert found.turn_ms >= found.lock_ms > 0
    _, found = await hold(ground, "tool", "books.pay", "pause")
    assert (found.runs, found.checked, found.refused) == (1, 1, 1)
    # a provider that models have beside another
    _, found = await hold(ground, "provider", "near")
    assert found.refused_by == {"lock/rehearsed": 2}
    assert [(one.run, one.name, one.verdict, one.rule) for one in found.passing] == [
        (clerk.run, "two-places", "permit", "policy/all")
    ]
    _, found = await hold(ground, "everything", "*", "deny-new")
    assert (found.agents, found.checked, found.refused) == (2, 2, 2)
    _, found = await hold(ground, "agent", "nobody")
    assert any("check the name" in one for one in found.findings)
    with pytest.raises(Invalid):
        await hold(ground, "everything", "half")


async def test_it_says_who_would_be_told_and_who_could_not(ground: Guarded) -> None:
    _, found = await hold(ground, "agent", "clerk")
    assert {(one.role, one.person, one.contact) for one in found.told} == {
        ("finance-ops", "ada", None), ("finance-ops", "bob", None),
    }  # fmt: skip
    assert found.nobody == ("finance-ops",)
    assert any("finance-ops" in one for one in found.findings)
