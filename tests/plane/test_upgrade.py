"""A plane of version 1 that was left with work under way is taken over by this program.

`tests/store/version_1.sql` is such a plane's whole database: one agent, an open run, a settled
decision, and a refund that waits for a person.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.rig.caller import Refused
from tests.rig.plane import Plane
from tests.rig.world import POLICY, world

DUMP = Path(__file__).parents[1] / "store" / "version_1.sql"
TOKEN = "wkr__vaPatIoXLYqCwgHCB2IRPkiKl0mQaIp_HLrwP9BKl8"
DAY_SECONDS = 86_400
ARGUMENTS = {"charge_id": "ch_1", "amount_usd": 250}


@pytest.fixture
def old(tmp_path: Path) -> Plane:
    """A state directory as version 1 left it."""
    plane = Plane(tmp_path, clock="frozen")
    plane.state.mkdir(mode=0o700)
    database = sqlite3.connect(plane.state / "plane.sqlite3")
    database.executescript(DUMP.read_text(encoding="utf-8"))
    database.close()
    return plane


def test_what_was_left_is_taken_over(old: Plane) -> None:
    plane = old.start()
    try:
        plane.advance(DAY_SECONDS)
        assert plane.operator.get("/v1/audit/verification")["ok"]
        (request,) = plane.operator.get("/v1/requests", state="decided")["rows"]
        assert (request["tool"], request["state"]) == ("books.create_refund", "expired")
        with pytest.raises(Refused, match="token_expired"):
            plane.caller(TOKEN).post("/v1/decide", {"name": "books.lookup_charge"})
        before = plane.operator.get("/v1/decisions", limit=100)["rows"]
        assert {row["verdict"] for row in before} == {"permit", "hold"}
        # the documents that were in force still are, and mean the same
        run = plane.enrol("clerk").open_run()
        assert run.decide("books.lookup_charge", {"charge_id": "ch_1"})["verdict"] == "permit"
        assert run.decide("books.create_refund", ARGUMENTS)["verdict"] == "hold"
        plane.apply(*world(), policy__cedar=POLICY)
        plan = plane.apply(*world(), policy__cedar=POLICY)
        assert {line["change"] for line in plan["lines"]} == {"unchanged"}
    finally:
        plane.close()


def test_what_waits_is_asked_once_when_its_agent_asks_again(old: Plane) -> None:
    database = sqlite3.connect(old.state / "plane.sqlite3")
    with database:
        for table, due in (("requests", "decide_by"), ("run_tokens", "expires_at")):
            database.execute(f"update {table} set {due} = {due} + ?", (10**7 * DAY_SECONDS,))
    database.close()
    plane = old.start()
    try:
        (waits,) = plane.operator.get("/v1/requests")["rows"]
        assert (waits["state"], waits["mine"]) == ("pending", True)
        held = plane.caller(TOKEN).post(
            "/v1/decide", {"name": "books.create_refund", "arguments": ARGUMENTS}
        )
        # what a contract says has fields that it had not, so that this is another action
        (now,) = plane.operator.get("/v1/requests")["rows"]
        assert now["request"] == held["request"] != waits["request"]
        before = plane.operator.get(f"/v1/requests/{waits['request']}")
        assert (before["state"], before["superseded_by"]) == ("superseded", held["request"])
    finally:
        plane.close()


def test_a_document_that_no_longer_holds_keeps_the_plane_from_starting(old: Plane) -> None:
    database = sqlite3.connect(old.state / "plane.sqlite3")
    with database:
        database.execute(
            "update documents set body = replace(body, 'http://127.0.0.1:9/mcp', 'http://0x7f.1/')"
            " where kind = 'upstream'"
        )
    database.close()
    with pytest.raises(AssertionError, match="upstream 'books' was applied by another version"):
        old.start()
