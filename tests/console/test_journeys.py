"""A person's work at the console, key by key, on a real plane with agents that ask."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.console.desk_world import DeskWorld
from tests.console.session import Session, session
from tests.rig.plane import Plane


@pytest.fixture
def desk(plane: Plane) -> DeskWorld:
    """A plane with something in every pane."""
    return DeskWorld(plane)


async def test_the_queue_is_cleared_by_keyboard(desk: DeskWorld) -> None:
    """Low by one key with an undo window, medium by a dialog, high and critical by typing."""
    low, medium, high, critical = desk.fill()
    async with session(desk.plane) as console:
        await console.press("3")
        await console.see("teller → note", "clerk → create refund", "charge ch_81 $250")

        await console.press("enter")
        await console.see("note on account acc_7", "low risk", "Delete the note.")
        await console.press("a")
        await console.see("u takes back")
        assert desk.state(low) == "pending"
        console.skip(6)
        await console.see("approved: note on account acc_7")
        assert desk.state(low) == "approved"

        # the cursor has gone on to the next one that waits
        await console.see("move on account acc_7", "medium risk")
        await console.press("a")
        await console.see_dialog("Approve this?")
        await console.press("enter")
        await console.see("approved: move on account acc_7")
        assert desk.state(medium) == "approved"

        await console.see("create refund of $250.00", "high risk")
        await console.press("a")
        await console.see_dialog("Approve this?")
        await console.confirm(typed="ch_18")
        await console.see("that is not the name")
        await console.press("escape", "a")
        await console.see_dialog("Approve this?")
        await console.confirm(typed="ch_81", reason="customer is right")
        await console.see("approved: create refund")
        assert desk.state(high) == "approved"

        await console.see("close account on account acc_9", "critical risk")
        await console.press("x")
        await console.see_dialog("Reject this?")
        await console.confirm()
        await console.see("say why in a few words")
        await console.confirm(reason="ask the customer first")
        await console.see("rejected: close account")
        assert desk.state(critical) == "denied"

        await console.press("escape")
        await console.see("No approvals wait. Decided ones: press d.")
        await console.press("d")
        await console.see("✗ denied", "✓ approved", "close account")


async def test_watch_leads_to_the_decision_by_its_own_key(desk: DeskWorld) -> None:
    """The deed's key opens what it is about and sends nothing; on another row it says why not."""
    low, *_ = desk.fill()
    async with session(desk.plane) as console:
        await console.press("1")
        await console.see("note on account acc_7")
        await console.press("slash")
        await console.type("note")
        await console.press("enter", "plus")
        await console.see("this row is no budget")
        await console.press("a")
        await console.see("read it, then press a again", "Delete the note.")
        assert desk.state(low) == "pending"


async def test_a_light_approval_can_be_taken_back(desk: DeskWorld) -> None:
    """`u` within the window: nothing is sent."""
    low = desk.fill()[0]
    async with session(desk.plane) as console:
        await console.press("3")
        await console.see("teller → note")
        await console.press("enter")
        await console.see("low risk", "Delete the note.")
        await console.press("a")
        await console.see("u takes back")
        await console.press("u")
        await console.see_no_more("u takes back")
        console.skip(30)
        await console.press("escape")
        await console.see("teller → note")
    assert desk.state(low) == "pending"


async def test_the_agents_words_stay_behind_their_gutter(desk: DeskWorld) -> None:
    """Escape sequences are spelled out, and a forged approval stays a quotation."""
    desk.fill()
    async with session(desk.plane, size=(100, 90)) as console:
        await console.press("3")
        await console.see("clerk → create refund")
        await console.press("j", "j", "enter")
        await console.see("clerk says", "▌ ✓ approved by ada", "hidden characters")
        assert "\x1b" not in console.screen


async def test_somebody_else_was_faster(desk: DeskWorld) -> None:
    """A vote on what is decided meanwhile says by whom, and sends nothing twice."""
    medium = desk.fill()[1]
    async with session(desk.plane) as console:
        await console.press("3")
        await console.see("teller → move")
        await console.press("j", "a")
        await console.see_dialog("Approve this?")
        await asyncio.to_thread(desk.vote, medium, "reject", "no such desk")
        await console.press("enter")
        await console.see("nothing was sent")
    assert desk.state(medium) == "denied"


async def test_marked_requests_are_decided_together_only_if_light(desk: DeskWorld) -> None:
    """Several of low risk in one go; one heavier among them, and the key says why not."""
    desk.fill()
    more = [desk.hold("teller", "note", account=f"acc_{n}", text="x") for n in range(3)]
    async with session(desk.plane) as console:
        await console.press("3")
        await console.see("account acc_2")
        await console.press("asterisk", "a")
        await console.see("only low risk is approved together: 3 of the 7")
        await console.press("u", "slash")
        await console.type("note")
        await console.press("enter")
        await console.see_no_more("create refund")
        await console.press("asterisk", "a")
        await console.see_dialog("Approve 4 requests?")
        await console.see("4 low")
        await console.confirm(typed="4")
        await console.see("4 approved")
    assert {desk.state(request) for request in more} == {"approved"}


async def test_a_request_left_alone_escalates_and_is_denied(desk: DeskWorld) -> None:
    """The clock runs in the list; at its end the declared outcome is taken."""
    desk.fill()
    async with session(desk.plane) as console:
        await console.press("3")
        await console.see("level 1")
        await asyncio.to_thread(desk.plane.advance, 400)
        await console.see("level 2", "!")
        await asyncio.to_thread(desk.plane.advance, 600)
        await console.see("No approvals wait.")
        await console.press("d")
        await console.see("× expired")


async def test_an_exhausted_budget_is_topped_up(desk: DeskWorld) -> None:
    """The agent is stopped with the budget's name; after the top-up it goes on."""
    desk.fill()
    assert desk.ask("buyer", "echo", text="more")["verdict"] == "deny"
    async with session(desk.plane) as console:
        await console.see("top up")
        await console.press("2")
        await console.see("■ stopped", "buyer", "budget run/")
        await console.press("5")
        await console.see("■ exhausted", "100%")
        await console.press("plus")
        await console.see_dialog("Top up")
        await console.confirm(fields={"amount": "lots"}, reason="a busy day")
        await console.see("a whole number is needed")
        await console.confirm(fields={"amount": "10"})
        await console.see("the cap of this run is 13 now")
    assert desk.ask("buyer", "echo", text="more")["verdict"] == "permit"


async def to_row(console: Session, identity: str, key: str) -> None:
    """Move the cursor by a key until it is on a row."""
    window = console.console.pane.window
    for _ in range(20):
        if window.current_id == identity:
            return
        await console.press(key)
    raise AssertionError(f"the cursor is on {window.current_id}, not on {identity}")


async def test_a_cap_is_changed_and_taken_back(desk: DeskWorld) -> None:
    """The new cap holds at once; nothing is sent for a time without a cap."""
    desk.fill()
    budget = "team/finance-ops/day/tool_calls"

    def cap() -> int:
        return int(desk.plane.operator.get(f"/v1/budgets/{budget}")["cap"])

    async with session(desk.plane, size=(110, 40)) as console:
        await console.press("5", "slash", *"finance-ops", "enter")
        await console.see("tool calls/day", "of 200")
        await to_row(console, budget, "j")
        await console.press("c")
        await console.see_dialog("Change the cap of team finance-ops?")
        await console.confirm(fields={"until": "2h"}, reason="a busy day")
        await console.see("the documents' own cap has no end")
        assert cap() == 200
        await console.press("c")
        await console.see_dialog("Change the cap of team finance-ops?")
        await console.confirm(fields={"cap": "3", "until": "2h"}, reason="enough for today")
        await console.see("3 per day from now on", "of 3")
        assert desk.ask("clerk", "echo", text="more")["rule"] == f"budget/{budget}"
        await console.press("c")
        await console.see_dialog("Change the cap of team finance-ops?")
        await console.confirm(reason="as it was")
        await console.see("200 per day from now on")
    assert cap() == 200
    assert desk.ask("clerk", "echo", text="more")["verdict"] == "permit"


async def test_a_breaker_is_closed_where_the_watch_tells_of_it(desk: DeskWorld) -> None:
    """A looping agent is paused; a person reads why, and lets it go on."""
    loop = {"name": "calm", "scope": "all", "loop": {"repeats": 3}}
    desk.plane.apply(json.dumps({"breaker": loop}))

    def again() -> str:
        return str(desk.ask("clerk", "echo", text="again")["verdict"])

    async with session(desk.plane, size=(140, 40)) as console:
        assert [again() for _ in range(3)] == ["permit"] * 3
        await console.see("close", "breaker calm/clerk paused clerk (loop)")
        assert again() == "deny"
        await to_row(console, "breaker/calm/clerk", "j")
        await console.press("b")
        await console.see_dialog("Close the breaker?")
        await console.see("loop")
        await console.confirm(reason="it was told to")
        await console.see("the breaker of clerk is closed")
    assert desk.ask("clerk", "echo", text="something else")["verdict"] == "permit"


async def test_an_agent_is_killed_and_let_go_again(desk: DeskWorld) -> None:
    """Blast radius, typed name, eight receipts, refusal; then lifted with a reason."""
    desk.fill()
    async with session(desk.plane, size=(110, 40)) as console:
        await console.press("2")
        await console.see("clerk")
        await console.press("j", "ctrl+x")
        await console.see_dialog("Kill agent clerk?")
        await console.see("1 open run", "1 pending approval", "widen to team finance-ops")
        await console.press("ctrl+w")
        await console.see_dialog("Kill team finance-ops?")
        await console.see("clerk, teller", "4 pending approvals")
        await console.press("ctrl+n")
        await console.see_dialog("Kill agent clerk?")
        await console.confirm(typed="clerk", reason="it loops")
        await console.see("stop run", "revoke access", "✓ acknowledged", "not supported")
        assert desk.plane.operator.get("/v1/agents/clerk")["state"] == "stopped"
        await console.press("q")
        await console.see("1 lock", "killed by", "it loops")
        await console.press("l")
        await console.see_dialog("Lift this lock?")
        await console.confirm(reason="fixed")
        await console.see("lifted: agent clerk")
    desk.forget_run("clerk")
    assert desk.ask("clerk", "lookup_charge", charge_id="ch_1")["verdict"] == "permit"


async def test_the_kill_key_works_in_every_pane(desk: DeskWorld) -> None:
    desk.fill()
    async with session(desk.plane, size=(110, 40)) as console:
        await console.see("clerk")
        for pane in "1234567890":
            await console.press(pane, "ctrl+x")
            await console.see_dialog("Kill ")
            await console.press("escape")
            await console.see_no_more("pause instead")


async def test_a_run_is_killed_by_enter(desk: DeskWorld) -> None:
    """A run takes two keys; what it asked for is revoked with it."""
    request = desk.fill()[2]
    async with session(desk.plane) as console:
        await console.press("3")
        await console.see("clerk → create refund")
        await console.press("j", "j", "ctrl+x")
        await console.see_dialog("Kill run_…")
        await console.press("enter")
        await console.see("Receipts", "✓ acknowledged")
        await console.press("q")
        await console.see_no_more("clerk → create refund")
    assert desk.state(request) == "revoked"


async def test_the_ledger_follows_holds_and_verifies(desk: DeskWorld) -> None:
    """New entries appear on top; held, they are counted; the chain is checked."""
    desk.fill()
    async with session(desk.plane, size=(200, 40)) as console:
        await console.press("9")
        await console.see("● follows", "request.created")
        await asyncio.to_thread(desk.hold, "teller", "note", account="n_1", text="x")
        await console.see("n_1")
        await console.press("f")
        await console.see("‖ held")
        await asyncio.to_thread(desk.hold, "teller", "note", account="n_2", text="x")
        await console.see("new entr")
        assert "n_2" not in console.screen
        await console.press("f")
        await console.see("n_2")
        await console.press("j")
        await console.see("‖ held")
        await asyncio.to_thread(desk.hold, "teller", "note", account="n_3", text="x")
        await console.see("2 new entries")
        await console.press("g")
        await console.see("n_3")
        await console.press("c")
        await console.see("The chain is whole")


async def test_enter_in_watch_goes_where_it_can_be_dealt_with(desk: DeskWorld) -> None:
    """The most pressing thing stands first, and enter opens it."""
    desk.fill()
    async with session(desk.plane) as console:
        await console.see("! critical", "decide  close account on account acc_9")
        await console.press("enter")
        await console.see("close account on account acc_9", "Who asks", "a approve")


async def test_a_lost_plane_leaves_what_was_read(desk: DeskWorld) -> None:
    """The list stays, the header says so in words, keys that send say why not."""
    desk.fill()
    async with session(desk.plane) as console:
        await console.press("3")
        await console.see("teller → note")
        await asyncio.to_thread(desk.plane.kill)
        await console.see("LOST", "teller → note")
        await console.press("j", "x")
        await console.see("the plane does not answer")
        assert console.dialog is None
        await asyncio.to_thread(desk.plane.restart)
        await console.see("the plane answers again")
        await console.see_no_more("LOST")
