"""Telemetry as it is kept, on both databases."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from sqlalchemy import insert

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.decide.catalogue import CatalogueView, build_catalogue
from watchkeeper.decide.tables import decisions
from watchkeeper.decide.telemetry import bypass, sent
from watchkeeper.decide.telemetry.findings import dismiss, find
from watchkeeper.decide.telemetry.reported import Part, report
from watchkeeper.decide.telemetry.senders import Sender
from watchkeeper.decide.telemetry.sent import Counts
from watchkeeper.decide.telemetry.taking import Intake, Telemetry
from watchkeeper.ledger.reading import read_events
from watchkeeper.store import retention
from watchkeeper.store.journal import SELECT_AFTER
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.tools.inspection.rules import personal_in
from watchkeeper.traces.reading import Wanted, list_spans
from watchkeeper.traces.telemetry import reading, rows
from watchkeeper.traces.telemetry.model import Said

SENDER = Sender("clerk", None)


def said(number: int, at: int, tool: str, *, trace: int = 1) -> Said:
    about = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool}
    span, in_trace = f"{number:016x}", f"{trace:032x}"
    return Said(in_trace, span, None, f"execute_tool {tool}", at, at + 1000, about, {})


def decided(tx: Transaction, run: str, name: str) -> str:
    tx.silent("a test")
    decision = tx.new_id("dec")
    values: dict[str, Any] = {
        "decision": decision, "at": tx.now, "agent": "clerk", "run": run, "version": 1,
        "kind": "tool", "name": name, "arguments": "{}", "digest": "", "verdict": "permit",
        "rule": "", "reason": "", "epoch": 0, "input_tokens": 0, "output_tokens": 0,
        "cost_micros": 0,
    }  # fmt: skip
    tx.connection.execute(insert(decisions).values(values))
    return decision


async def test_calls_are_looked_for_and_forgotten(store: Store) -> None:
    view = CatalogueView(build_catalogue({}))
    telemetry, at = Telemetry(store, view), store.clock.now()
    await store.write(lambda tx: decided(tx, "run_1", "echo"))
    calls = [said(1, at, "echo"), said(2, at, "shell", trace=2)]
    reported, untimely = report(calls, telemetry.allowed(SENDER), at)
    assert not untimely
    part = Part(1, tuple(reported), end=True)
    await telemetry.take(Intake(SENDER), replace(part, rejected=1))
    await telemetry.take(Intake(SENDER), part)  # sent again: nobody heard the answer
    store.clock.advance(bypass.GRACE_SECONDS + 1)  # type: ignore[attr-defined]
    await store.write(lambda tx: bypass.look(tx, view.now, "clerk"))
    found, _ = await store.read(reading.findings)
    assert [(row.subject, row.count) for row in found] == [("shell", 1)]
    spans, _ = await store.read(lambda tx: list_spans(tx, Wanted(run="run_1")))
    assert [span.subject for span in spans] == ["echo"]
    assert await store.read(reading.count_waiting) == 0
    (sender,) = await store.read(lambda tx: reading.senders(tx, None))
    assert (sender.spans, sender.joined, sender.rejected) == (4, 0, 1)

    def hold(tx: Transaction) -> None:
        tx.silent("a test")
        retention.hold(tx, "inc_1", [retention.Held("run", "run_1")], 1)

    def let_go(tx: Transaction) -> None:
        tx.silent("a test")
        retention.let_go(tx, "inc_1")

    later = store.clock.now() + MICROSECONDS
    await store.write(hold)
    assert await store.write(lambda tx: rows.purge_calls(tx, later)) == 1
    await store.write(let_go)
    assert await store.write(lambda tx: rows.purge_calls(tx, later)) == 1


async def test_one_of_several_planes_exports(store: Store) -> None:
    await store.write(lambda tx: sent.begin(tx, 0))
    assert await store.write(lambda tx: sent.hold(tx, "one"))
    assert not await store.write(lambda tx: sent.hold(tx, "other"))
    assert await store.write(lambda tx: sent.hold(tx, "one"))
    store.clock.advance(sent.HOLDS_SECONDS + 1)  # type: ignore[attr-defined]
    assert await store.write(lambda tx: sent.hold(tx, "other"))
    await store.write(lambda tx: sent.move(tx, 0, 5, Counts()))
    before = await store.read(sent.counts_of)
    assert before is not None
    assert before.sent_at is None, "nothing was sent"
    await store.write(lambda tx: sent.move(tx, 5, 7, Counts(sent=3, refused=1, lost=2)))
    counts = await store.read(sent.counts_of)
    assert counts is not None
    assert (counts.sent, counts.refused, counts.lost, counts.passed_over) == (3, 1, 2, 0)
    assert counts.sent_at == store.clock.now()
    assert (await store.read(sent.how_far))[0] == 7


async def test_what_was_reported_stands_in_no_entry_where_it_is_personal(store: Store) -> None:
    view, person = CatalogueView(build_catalogue({})), "ada.lovelace@example.org"
    store.vault.find = personal_in

    def find_it(tx: Transaction) -> None:
        owner = view.now.team_of("clerk")
        find(tx, "unknown_agent", "clerk", person, owner=owner, run=None, trace=f"{1:032x}")
        row = rows.find_finding(tx, "clerk", "unknown_agent", person)
        assert row is not None
        dismiss(tx, row.finding, by="plane", reason="a test")

    await store.write(find_it)
    raw = await store.read(lambda tx: SELECT_AFTER.all(tx, after=0, limit=10))
    assert len(raw) == 2
    for row in raw:
        assert person not in row.body
    shown = await store.read(lambda tx: read_events(tx, after=0, limit=10))
    assert [event.body["reported"] for event in shown] == [person, person]
