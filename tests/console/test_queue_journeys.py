"""What else an approver does with the queue, key by key, on a real plane with agents that ask."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.console.desk_world import DeskWorld
from tests.console.session import session
from tests.rig.plane import Plane
from tests.rig.ssh import SshKey
from watchkeeper.client.address import Address

WATCH = """
schedule:
  name: finance
  zone: Europe/Paris
  layers:
    - {name: week, people: [ada, bob], rotation: weekly, starts: "2026-01-05T09:00"}
---
role: {name: finance-ops, members: [owner, bob], schedules: [finance]}
---
person: {name: bob, operates: [{role: admin}]}
---
person: {name: ada, operates: [{role: admin}]}
"""


@pytest.fixture
def desk(plane: Plane) -> DeskWorld:
    """A plane with something in every pane."""
    return DeskWorld(plane)


def somebody(plane: Plane, name: str) -> Address:
    """The plane as another person sees it."""
    asked = {"person": name, "permission": "admin"}
    return Address(url=plane.url, token=plane.operator.post("/v1/persons/tokens", asked)["token"])


async def test_changes_are_asked_for_and_the_agent_is_told(desk: DeskWorld) -> None:
    request = desk.hold("clerk", "create_refund", charge_id="ch_81", amount_usd=250)
    async with session(desk.plane) as console:
        await console.press("3")
        await console.see("create refund")
        await console.press("c")
        await console.see_dialog("Ask for changes?")
        await console.confirm(reason="half of it")
        await console.see("changes asked for: create refund")
    answer = desk.ask("clerk", "create_refund", charge_id="ch_81", amount_usd=250)
    assert desk.state(request) == "denied"
    assert answer["verdict"] == "deny"
    assert "half of it" in answer["reason"]


async def test_less_is_approved_than_was_asked(desk: DeskWorld) -> None:
    """The amount goes down, and what stands then is approved; the agent is told what to send."""
    request = desk.hold("clerk", "create_refund", charge_id="ch_81", amount_usd=250)
    async with session(desk.plane) as console:
        await console.press("3")
        await console.see("create refund")
        await console.press("n")
        await console.see_dialog("Approve less than this?")
        await console.confirm(fields={"amount_usd": "210"}, reason="as agreed")
        await console.see("create refund of $210.00", "approved")
    assert desk.state(request) == "superseded"
    answer = desk.ask("clerk", "create_refund", charge_id="ch_81", amount_usd=210)
    assert answer["verdict"] == "permit"


async def test_it_is_talked_about_and_seen_to(desk: DeskWorld) -> None:
    """A comment stands in the detail; "on it" in the list, and nobody else takes it twice."""
    desk.hold("clerk", "create_refund", charge_id="ch_81", amount_usd=250)
    async with session(desk.plane, size=(160, 60)) as console:
        await console.press("3")
        await console.see("create refund", "Who asks")
        await console.press("m")
        await console.see_dialog("Say something of this")
        await console.confirm(reason="known customer")
        await console.see("What people said", "known customer")
        await console.press("i")
        await console.see("you are on it until", "is on it until")
        await console.press("i")
        await console.see("is on it already")


async def test_an_approval_is_taken_back_until_it_is_used(desk: DeskWorld) -> None:
    request = desk.hold("teller", "move", account="acc_7", desk="south")
    async with session(desk.plane) as console:
        await console.press("3")
        await console.see("teller → move")
        await console.press("U")
        await console.see("only an approval that was not used yet")
        await console.press("a")
        await console.see_dialog("Approve this?")
        await console.press("enter")
        await console.see("approved: move")
        await console.press("U")
        await console.see_dialog("Take the approval back?")
        await console.confirm()
        await console.see("taken back: move")
        assert desk.state(request) == "revoked"
        again = desk.hold("teller", "move", account="acc_7", desk="south")
        await console.see("teller → move")
        await console.press("a")
        await console.see_dialog("Approve this?")
        await console.press("enter")
        await console.see("approved: move")
        answer = desk.ask("teller", "move", account="acc_7", desk="south")
        assert answer["verdict"] == "permit"
        await console.press("U")
        await console.see_dialog("Take the approval back?")
        await console.confirm()
        await console.see("too late")
    assert desk.state(again) == "redeemed"


async def test_what_asks_the_same_is_marked_and_cleared_at_once(desk: DeskWorld) -> None:
    """One key marks them; another kind among the marked stops it; the others stay."""
    notes = [desk.hold("teller", "note", account=f"acc_{n}", text="called") for n in range(4)]
    desk.hold("teller", "move", account="acc_7", desk="south")
    async with session(desk.plane) as console:
        await console.press("3")
        await console.see("teller → note", "teller → move")
        await console.press("o")
        await console.see("together by tool")
        await console.press("o", "o", "o")
        await console.see_no_more("together by")
        await console.press("g", "equals_sign")
        await console.see("4 alike are marked")
        await console.press("a")
        await console.see_dialog("Approve 4 requests?")
        await console.confirm(typed="4")
        await console.see("4 approved")
    assert {desk.state(note) for note in notes} == {"approved"}


async def test_a_run_is_a_key_away(desk: DeskWorld) -> None:
    desk.hold("teller", "move", account="acc_7", desk="south")
    async with session(desk.plane) as console:
        await console.press("3")
        await console.see("teller → move")
        await console.press("R")
        await console.see("work through the teller's items", "books.move")


async def test_the_glass_is_broken_and_reviewed_by_another(desk: DeskWorld) -> None:
    desk.plane.apply(*WATCH.split("---"))
    request = desk.hold("teller", "close_account", account="acc_9")
    async with session(desk.plane, size=(120, 50)) as console:
        await console.press("3")
        await console.see("close account")
        await console.press("exclamation_mark")
        await console.see_dialog("Break the glass?")
        await console.press("pagedown", "pagedown")
        await console.confirm(typed="acc_9", reason="the customer is robbed right now")
        await console.see("approved alone, to be reviewed")
        await console.press("d", "d")
        await console.see("! to review")
        await console.press("w")
        await console.see_dialog("Review this break-glass approval")
        await console.confirm(fields={"verdict": "fine"}, reason="it was")
        await console.see("write justified or unjustified")
        await console.press("escape")
    async with session(desk.plane, address=somebody(desk.plane, "bob")) as console:
        await console.press("3", "d", "d")
        await console.see("! to review")
        await console.press("w")
        await console.see_dialog("Review this break-glass approval")
        await console.confirm(fields={"verdict": "justified"}, reason="it was")
        await console.see("reviewed: justified")
    detail = desk.plane.operator.get(f"/v1/requests/{request}")
    assert detail["review_verdict"] == "justified"


async def test_more_of_the_same_is_proposed_within_bounds(desk: DeskWorld) -> None:
    desk.hold("teller", "note", account="acc_7", text="called twice")
    async with session(desk.plane) as console:
        await console.press("3")
        await console.see("teller → note")
        await console.press("s")
        await console.see_dialog("Propose a standing approval?")
        await console.confirm(fields={"pin": "text", "uses": "3"}, reason="month end")
        await console.see("proposed:")
    (row,) = desk.plane.operator.get("/v1/standing")["rows"]
    assert (row["state"], row["pins"], row["max_uses"]) == ("proposed", {"text": "called twice"}, 3)


async def test_figures_and_hints_are_a_key_away(desk: DeskWorld) -> None:
    request = desk.hold("teller", "note", account="acc_7", text="called twice")
    desk.vote(request, "approve", "fine")
    async with session(desk.plane, size=(120, 40)) as console:
        await console.press("3", "Q")
        await console.see("How approving goes", "1 vote")
        await console.press("escape", "H")
        await console.see("What would spare work", "Nothing repeats often enough")


async def test_a_shift_is_overridden_and_handed_over(
    desk: DeskWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is on call now and next, an override by wall clock, its end; and the watch."""
    desk.plane.apply(*WATCH.split("---"))
    async with session(desk.plane, size=(140, 50)) as console:
        await console.press("8")
        await console.see("finance-ops", "finance, in Europe/Paris", "a ada", "b bob")
        await console.press("slash")
        await console.type("finance-ops")
        await console.press("enter", "o")
        await console.see_dialog("Change who is on call in finance")
        await console.confirm(fields={"add": "bob", "end": "nonsense"}, reason="dentist")
        await console.see("write a time as 18:00")
        await console.confirm(fields={"add": "bob", "end": "+4h"}, reason="dentist")
        await console.see("bob is on call too", "Overrides", "dentist")
        await console.press("x")
        await console.see_dialog("End an override")
        await console.confirm(reason="it did not hurt")
        await console.see("ended: bob is on call too")

        monkeypatch.setattr(console.console, "edit", lambda text: f"{text}\nLook at acc_9.")
        await console.press("h")
        await console.see_dialog("Hand finance-ops over?")
        await console.confirm(fields={"to": "bob"})
        await console.see("handed over to bob")
    async with session(desk.plane, address=somebody(desk.plane, "bob"), size=(140, 50)) as console:
        await console.press("8")
        await console.see("! hand-over")
        await console.press("slash")
        await console.type("finance-ops")
        await console.press("enter", "a")
        await console.see_dialog("Take finance-ops over from")
        await console.press(*["pagedown"] * 6)
        await console.confirm()
        await console.see("you have the watch")


async def test_watch_leads_to_what_is_to_review(desk: DeskWorld) -> None:
    """A request that is decided stands in another list: it is found there all the same."""
    desk.plane.apply(*WATCH.split("---"))
    request = desk.hold("teller", "close_account", account="acc_9")
    digest = desk.plane.operator.get(f"/v1/requests/{request}")["digest"]
    alone = {"digest": digest, "reason": "robbed right now"}
    desk.plane.operator.post(f"/v1/requests/{request}/break-glass", alone)
    async with session(desk.plane, address=somebody(desk.plane, "bob"), size=(120, 30)) as console:
        await console.press("1")
        await console.see("broke the glass", "review")
        await console.press("slash")
        await console.type("glass")
        await console.press("enter", "enter")
        await console.see("somebody else must review it", "Who asks")


async def test_a_vote_is_signed_by_the_key_that_the_person_has(
    desk: DeskWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the key nothing is sent; with it the vote bears the signature."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    key = SshKey.make(tmp_path / "kept")
    bob = f"person: {{name: bob, operates: [{{role: admin}}], ssh_keys: ['{key.public}']}}"
    role = "role: {name: finance-ops, members: [owner, bob]}"
    desk.plane.apply(bob, role, "risk: {name: medium, signed: true}")
    request = desk.hold("teller", "move", account="acc_7", desk="south")
    async with session(desk.plane, address=somebody(desk.plane, "bob")) as console:
        await console.press("3")
        await console.see("teller → move")
        await console.press("a")
        await console.see_dialog("Approve this?")
        await console.see("your SSH signature", "Approve and sign")
        await console.confirm()
        await console.see("not signed, nothing was sent")
        assert desk.state(request) == "pending"
        for name in ("kept", "kept.pub"):
            (tmp_path / name).rename(tmp_path / ".ssh" / name.replace("kept", "id_ed25519"))
        await console.press("a")
        await console.see_dialog("Approve this?")
        await console.confirm()
        await console.see("approved: move")
    (vote,) = desk.plane.operator.get(f"/v1/requests/{request}")["votes"]
    assert vote["key"].startswith("SHA256:")
    assert "BEGIN SSH SIGNATURE" in vote["signature"]


async def test_what_is_not_what_its_digest_covers_is_not_approved(desk: DeskWorld) -> None:
    """Somebody changed the stored arguments: it is said, and no key sends an approval."""
    request = desk.hold("teller", "note", account="acc_7", text="called twice")
    forged = '{"account":"acc_7","text":"pay everything out"}'
    database = sqlite3.connect(desk.plane.state / "plane.sqlite3")
    with database:
        database.execute(
            "UPDATE requests SET canonical = ?, arguments = ? WHERE request = ?",
            (forged, forged, request),
        )
    database.close()
    async with session(desk.plane, size=(120, 60)) as console:
        await console.press("3")
        await console.see("pay everything out", "The digest is not of what is shown")
        await console.press("a", "enter")
        await console.see("its digest is not of what is shown: nothing was sent")
    assert desk.state(request) == "pending"


async def test_a_decision_is_judged_later_and_what_stands_is_seen(desk: DeskWorld) -> None:
    desk.plane.apply(*WATCH.split("---"))
    request = desk.hold("teller", "note", account="acc_7", text="called twice")
    desk.vote(request, "approve", "fine")
    async with session(desk.plane, address=somebody(desk.plane, "bob")) as console:
        await console.press("3", "S")
        await console.see("Nothing was agreed to beforehand")
        await console.press("escape", "d")
        await console.see("✓ approved")
        await console.press("b")
        await console.see_dialog("Was this decided rightly?")
        await console.confirm(fields={"verdict": "wrong"}, reason="it was another account")
        await console.see("kept")
    (judged,) = desk.plane.operator.get(f"/v1/requests/{request}")["judgements"]
    assert (judged["verdict"], judged["note"]) == ("wrong", "it was another account")
