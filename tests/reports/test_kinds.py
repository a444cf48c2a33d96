"""What each kind of report counts, of ledgers written by hand, on both engines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.reports.ground import ADA, BOB, START, Ground, open_ground, table
from watchkeeper.core import ids
from watchkeeper.core.clock import MICROSECONDS, utc_text
from watchkeeper.core.errors import TooMany, Unavailable
from watchkeeper.core.money import dollars
from watchkeeper.decide.records import NOBODY_REPORTED
from watchkeeper.decide.reports import making
from watchkeeper.decide.reports.controls import GAP, NOT_SHOWN, SHOWN
from watchkeeper.decide.reports.model import Asked
from watchkeeper.wire.reports import Report


@pytest.fixture
async def ground(database_url: str, tmp_path: Path) -> AsyncIterator[Ground]:
    opened = await open_ground(database_url, tmp_path / "state")
    yield opened
    await opened.store.close()


async def test_access_counts_both_ways_and_tells_what_was_kept_back(ground: Ground) -> None:
    await ground.call("clerk")
    sent = await ground.call("clerk", classes_in="email,phone", on_behalf_of="user/kim")
    await ground.call("clerk", "denied", classes_in="email", rule="tool/books.mail/data-in")
    about: dict[str, Any] = {"agent": "reader", "run": "run_2", "actor": "agent/reader"}
    ended: dict[str, Any] = {"kind": "tool", "name": "books.read", "version": 5}
    # a word of somebody's is no class that the plane found
    await ground.tell("outcome.recorded", **about, **ended, error='"classes_out":"email"')
    await ground.tell("outcome.recorded", **about, **ended, classes_out="email,card",
                      classes_redacted="card")  # fmt: skip
    found = await ground.report("access")
    assert [row[:8] for row in table(found, "Agents")] == [
        ("card", "reader", 5, 0, 0, 1, 0, 1),
        ("email", "clerk", 2, 1, 0, 0, 1, 1),
        ("email", "reader", 5, 0, 1, 0, 0, 1),
        ("phone", "clerk", 2, 1, 0, 0, 0, 1),
    ]
    assert [row[:3] for row in table(found, "Tools and models")] == [
        ("card", "tool books.read", 0),
        ("email", "tool books.mail", 1),
        ("email", "tool books.read", 0),
        ("phone", "tool books.mail", 1),
    ]
    entries = table(found, "Entries")
    assert [row[3] for row in entries] == [
        "sent", "refused or held", "came back", "came back, kept from it",
    ]  # fmt: skip
    assert entries[0][1:3] == (sent, "email, phone")
    assert entries[0][8] == "user/kim"
    assert found.source.counted == 3
    narrow = await ground.report("access", data="card")
    assert narrow.title == "Access to data: card"
    assert [row[0] for row in table(narrow, "Agents")] == ["card"]
    assert len(table(narrow, "Entries")) == 1


async def test_approvals_tell_votes_waits_and_overrides(ground: Ground) -> None:
    about: dict[str, Any] = {"agent": "clerk", "run": "run_1", "subject": "request/req_1",
                             "request": "req_1", "tool": "books.pay"}  # fmt: skip
    await ground.tell("request.created", actor="agent/clerk", **about, text="asks")
    await ground.tell("vote.cast", actor=BOB, **about, after=30, verdict="approve", roles=["ops"],
                      reason="right", key="SHA256:x", view_ms=4200)  # fmt: skip
    await ground.tell("request.approved", actor=BOB, **about, by=BOB, text="approved by bob")
    late = {**about, "subject": "request/req_0", "request": "req_0"}
    await ground.tell("request.denied", actor=ADA, **late, by=ADA, text="rejected by ada")
    await ground.tell("request.break_glass", actor=ADA, **about, reason="fire", text="alone")
    await ground.tell("request.revoked", actor="plane", **about, text="by a lock")
    await ground.tell("budget.topped_up", "budget/b", reason="more", text="$5")
    for _ in range(2):
        await ground.call("clerk", standing="std_1", approved_by=[ADA])
    found = await ground.report("approvals")
    assert ("created", 1) in table(found, "Requests")
    assert table(found, "People") == [("bob", 1, 0, 0, 1, "4.2")]
    decided = table(found, "Decisions")
    assert [(row[2], row[3], row[6]) for row in decided] == [
        ("approved", "bob", "31.0"), ("denied", "ada", ""),
    ]  # fmt: skip
    overrides = [(row[2], row[3], row[6]) for row in table(found, "Overrides")]
    assert overrides == [
        ("request.break_glass", "ada", "fire"),
        ("budget.topped_up", "ada", "more"),
    ]
    assert table(found, "Standing approvals") == [("std_1", "clerk", "ada", 2)]
    (vote,) = table(found, "Votes")
    assert (vote[2], vote[3], vote[6], vote[7]) == ("bob", "approve", "yes", "4.2")


async def test_kills_follow_locks_from_begin_to_end(ground: Ground) -> None:
    await ground.tell("lock.created", "lock/lock_1", agent="clerk", target="agent/clerk",
                      mode="stop", reason="odd", epoch=1)  # fmt: skip
    await ground.tell("run.stopped", "run/run_1", agent="clerk", run="run_1", lock="lock_1")
    done = {"effect": "refuse", "party": "plane", "state": "acknowledged", "detail": ""}
    await ground.tell("receipt.recorded", "lock/lock_1", "plane", after=0.25, receipts=[
        done, {**done, "effect": "stop", "party": "far", "state": "told"}])  # fmt: skip
    await ground.tell("lock.unconfirmed", "lock/lock_1", "plane")
    await ground.tell("lock.lifted", "lock/lock_1", BOB, agent="clerk", target="agent/clerk",
                      reason="fine")  # fmt: skip
    await ground.tell("lock.lifted", "lock/lock_0", BOB, target="tool/x", reason="old")
    await ground.tell("drill.held", "drill/d", target="agent/clerk", mode="stop", reason="try",
                      runs=3, checked=9, refused=8, findings=1, text="drill")  # fmt: skip
    found = await ground.report("kills")
    (lock,) = table(found, "Locks")
    assert lock[2:7] == ("agent/clerk", "stop", "ada", "odd", 1)
    assert lock[7:10] == ("1 of 2", "1,250.0", 1)
    assert lock[11:] == ("bob", "fine", "lock_1")
    told = table(found, "Receipts that are not confirmed")
    assert told == [("lock_1", "stop", "far", "told")]
    assert [row[2:5] for row in table(found, "Lifted, of before the period")] == [
        ("tool/x", "bob", "old")
    ]
    assert table(found, "Drills")[0][5:9] == (3, 9, 8, 1)
    # of a team's agents: the lock on one, with its receipts, and not the drill
    ours = await ground.report("kills", teams=("ops",), agents=("clerk",))
    assert table(ours, "Locks") == [lock]
    assert not table(ours, "Drills")
    assert not table(await ground.report("kills", teams=("x",), agents=("other",)), "Locks")


async def test_policies_tell_documents_stages_and_definitions(ground: Ground) -> None:
    applied: dict[str, Any] = {
        "change": "create",
        "version": 1,
        "digest": "sha256:1",
        "replaces": None,
    }
    await ground.tell("agent.applied", "agent/clerk", agent="clerk", **applied)
    await ground.tell("policy.removed", "policy/p", BOB, **applied | {"change": "delete"})
    staged: dict[str, Any] = {"from": "warn", "to": "enforce"}
    await ground.tell("policy.staged", "policy/q", **staged, reason="r")
    await ground.tell("tool.quarantined", "tool/t", "plane")
    await ground.tell("secret.removed", "secret/s", name="s")
    found = await ground.report("policies")
    documents = [row[2:7] for row in table(found, "Documents")]
    assert documents == [
        ("agent", "clerk", "create", 1, "ada"),
        ("policy", "p", "delete", 1, "bob"),
    ]
    assert [row[2:6] for row in table(found, "Stages of policy sets")] == [
        ("policy/q", "warn", "enforce", "ada")
    ]
    assert [row[2:5] for row in table(found, "Definitions of tools")] == [
        ("quarantined", "tool/t", "plane")
    ]
    assert [row[2] for row in table(found, "Keys, secrets, caps")] == ["secret.removed"]


async def test_operators_are_told_by_what_they_did_each_once(ground: Ground) -> None:
    await ground.tell("vote.cast", "request/r", BOB, agent="clerk", verdict="approve")
    await ground.tell("request.approved", "request/r", BOB, agent="clerk", by=BOB)
    await ground.tell("lock.created", "lock/l", target="tool/x", mode="pause", reason="r")
    await ground.call("clerk")
    found = await ground.report("operators")
    assert table(found, "What they did") == [("ada", "lock.created", 1), ("bob", "vote.cast", 1)]
    # that a report was made is what somebody did, too
    later = await ground.report("operators", since=ground.clock.now())
    assert ("bob", "report.made", 1) in table(later, "What they did")


async def test_a_report_says_what_it_is_of_and_what_proves_that(ground: Ground) -> None:
    for number in range(5):
        await ground.tell("noted", after=10, number=number)
    since, until = START + 20 * MICROSECONDS, START + 40 * MICROSECONDS
    found = await ground.report("operators", since=since, until=until)
    source = found.source
    assert (source.first, source.last, source.entries, source.counted) == (2, 3, 2, 2)
    assert (source.checkpoint, source.size >= 5, source.anchored) == (1, True, 0)
    assert source.unanchored == 2
    assert found.over
    assert found.produced_by == "bob"
    assert not any("ledger begins" in one for one in found.missing)
    whole = await ground.report("operators", until=START + 10**12)
    assert not whole.over
    begins = utc_text(START + 10 * MICROSECONDS)
    assert any(one.startswith(f"anything before {begins}") for one in whole.missing)
    assert any("the period is not over" in one for one in whole.missing)
    empty = await ground.report("operators", until=1)
    assert empty.source == type(source)()
    assert all(not section.rows for section in empty.sections)


async def test_a_period_longer_than_a_stretch_is_read_whole(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "STRETCH", 3)
    numbers = [await ground.tell("noted", number=number) for number in range(8)]
    found = await ground.report("operators", rows=5)
    (section,) = [one for one in found.sections if one.title == "Actions"]
    assert section.total == 8
    assert [row[1] for row in section.rows] == numbers[:5]
    assert found.source.counted == 8
    controls = await ground.report("controls")
    assert controls.source.entries == 9


async def test_only_some_are_made_at_once_and_none_for_who_left(ground: Ground) -> None:
    await ground.tell("noted")

    async def left() -> bool:
        assert ground.reporting.progress(BOB) == (1, 1)
        assert ground.reporting.progress(ADA) == (0, 0)
        return True

    asked = Asked("operators", 0, ground.clock.now() + 1, 10)
    with pytest.raises(Unavailable, match="nobody waits"):
        await ground.reporting.make(asked, str, by=BOB, gone=left)

    async def again() -> bool:
        with pytest.raises(TooMany):
            await ground.reporting.make(asked, str, by=ADA, gone=left)
        return False

    async def another() -> bool:
        await ground.reporting.make(asked, str, by=BOB, gone=again)
        return False

    await ground.reporting.make(asked, str, by=BOB, gone=another)
    assert ground.reporting.progress(BOB) == (0, 0)


def claims(report: Report, control: str) -> dict[str, str]:
    """Return the state of each claim and gap of a control."""
    rows = [row for one in report.sections for row in one.rows if one.columns[0] == "control"]
    return {str(row[2]): str(row[3]) for row in rows if row[0] == control and row[3]}


async def test_claims_are_shown_not_shown_or_gaps(ground: Ground) -> None:
    empty = await ground.report("controls")
    states = {state for row in empty.sections[0].rows for state in row[3:]}
    assert states, "a control has claims or gaps"
    assert all(row[3] == 0 for row in empty.sections[0].rows), "nothing is shown of nothing"
    for number in range(4):
        await ground.call("clerk", number=number)
    await ground.tell("vote.cast", "request/r", BOB, agent="clerk", verdict="approve",
                      display="sha256:1")  # fmt: skip
    found = await ground.report("controls")
    versions = "Each decision names the agent's version."
    assert claims(found, "Art. 12(2)")[versions] == SHOWN
    assert claims(found, "ASI09")["No vote is without that record."] == SHOWN
    assert claims(found, "ASI08")["Stopping was rehearsed, and nothing would have got through."] \
        == NOT_SHOWN  # fmt: skip
    assert GAP in claims(found, "CC6.6").values()
    (queries,) = [one for one in found.sections if one.title == "Queries"]
    counts = {row[0]: row[3] for row in queries.rows}
    assert (counts["decisions"], counts["tool-decisions"], counts["model-decisions"]) == (4, 4, 0)
    assert counts["refused"] == 0
    # what breaks a claim makes it a gap, with the entry that does
    await ground.tell("decision.denied", "decision/d", "agent/clerk", agent="clerk", kind="model",
                      rule="lock/l", policies="sha256:1")  # fmt: skip
    await ground.tell("vote.cast", "request/r", BOB, agent="clerk", verdict="reject")
    broken = await ground.report("controls")
    assert claims(broken, "Art. 12(2)")[versions] == GAP
    assert claims(broken, "ASI09")["No vote is without that record."] == GAP
    rows = [row for one in broken.sections for row in one.rows if versions in row]
    assert rows[0][5] == 1
    assert "decision.denied" in str(rows[0][6])
    # and of other teams nothing counts
    others = await ground.report("controls", teams=("x",), agents=("other",))
    assert others.source.counted == 0


async def test_a_late_report_replaces_what_was_presumed_of_a_call(ground: Ground) -> None:
    decision = ids.first_at("dec", ground.clock.now())
    before = ids.first_at("dec", START - MICROSECONDS)
    about: dict[str, Any] = {"actor": "agent/clerk", "agent": "clerk"}
    for named, cost, error in (
        (decision, 500, NOBODY_REPORTED), (decision, 70, None), (before, 9_000, None),
    ):  # fmt: skip
        await ground.tell(
            "outcome.recorded", decision=named, cost_micros=cost, error=error, **about
        )
    found = await ground.report("spending", since=START)
    (row,) = table(found, "Held against the ledger")
    assert row[:3] == ("clerk", dollars(70), dollars(0))
