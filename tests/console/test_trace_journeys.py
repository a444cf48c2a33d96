"""The trace of a run, by keys alone: opened, followed, left again; two runs; questions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.console.desk_world import DeskWorld, filled_desk
from tests.console.session import session


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeskWorld]:
    with filled_desk(tmp_path_factory.mktemp("traces")) as desk:
        yield desk


async def test_enter_opens_the_trace_of_a_run_and_esc_returns(desk: DeskWorld) -> None:
    async with session(desk.plane) as console:
        await console.press("4", "slash", *"clerk", "enter")
        await console.see("held for finance-ops: A ref")
        await console.press("enter")
        await console.see("clerk version 1", "invoke_agent clerk", "books.lookup_charge", "◐ held")
        await console.press("n")
        await console.see("◐ held")
        await console.press("enter")
        await console.see("verdict", "held", "of the ledger")
        await console.press("escape", "escape")
        await console.see("held for finance-ops: A ref", "GOAL")


async def test_a_trace_follows_what_happens(desk: DeskWorld) -> None:
    run = desk.teller.open_run("look again")
    async with session(desk.plane) as console:
        await console.press("4", "slash", *"look", "enter")
        await console.see("look again")
        await console.press("enter")
        await console.see("teller version 1", "0 calls")
        decided = run.decide("books.lookup_charge", {"charge_id": "ch_9"})
        await console.see("● running", "books.lookup_charge")
        run.settle(decided["decision"], usage={"cost_micros": 20_000})
        await console.see("✓ done", "1 call, 0 refused, $0.02")
        await console.press("slash", *"nothing", "enter")
        await console.see("Nothing matches the filter")
        await console.press("escape")
        await console.see("✓ done")


async def test_a_step_leads_to_its_request_and_entry_and_back(desk: DeskWorld) -> None:
    async with session(desk.plane) as console:
        await console.press("3", "g")
        await console.see("close account")
        await console.press("T")
        await console.see("teller version 1", "◐ pending")
        await console.press("o")
        await console.see("Who asks")
        await console.press("q", "q")
        await console.see("teller version 1", "◐ pending")
        await console.press("e")
        await console.see("request.created", "Body, canonical")
        await console.press("q", "q")
        await console.see("teller version 1", "◐ pending")
        await console.press("g", "o")
        await console.see("no approval was asked for")
        await console.press("e")
        await console.see("run.opened", "Body, canonical")
        await console.press("q", "T")
        await console.see("teller version 1", "invoke_agent teller")
        await console.press("l")
        await console.see("run:run_")


async def test_two_marked_runs_are_compared(desk: DeskWorld) -> None:
    async with session(desk.plane, size=(120, 40)) as console:
        await console.press("4", "slash", *"items", "enter", "g")
        await console.see("teller", "clerk", "buyer", "1/3")
        await console.press("c")
        await console.see("mark two runs with space; 0 marked now")
        await console.press("space", "space", "c")
        await console.see("Two runs side by side", "the same", "only")
        await console.press("q", "u", "b")
        await console.see("rested on", "BASIS", "r asks again", "Nothing was found")
        await console.press("q")
        await console.see("work through", "GOAL")


async def test_questions_are_asked_by_name_and_lead_on(desk: DeskWorld) -> None:
    desk.plane.apply(
        "question: {name: refused-lately, description: Which agents were refused, "
        "where: {verdict: deny}, group_by: [agent], order: refusals, within: 7d}"
    )
    async with session(desk.plane, size=(100, 40)) as console:
        await console.see("Watch")
        await console.press("colon", *"answers", "enter")
        await console.see("Nothing was asked")
        await console.press("colon", *"ask", "enter")
        await console.see_dialog("What do you want to know?")
        await console.see("▌ refused-lately", "▌ Which agents were refused")
        await console.confirm(fields={"question": "touched"})
        await console.see_dialog("Which data?")
        await console.confirm(fields={"data": "iban"})
        await console.see("who touched data of class iban", "Nothing was found")
        await console.press("d")
        await console.see("No agent is known to have touched data of class iban", "not in it")
        await console.press("q", "colon", *"spike", "enter")
        await console.see_dialog("What made it rise?")
        await console.confirm(fields={"measure": "calls", "by": "tool"})
        await console.see("calls by tool, against", "clerk version 1  books.lookup_charge", "RISE")
        await console.press("slash", *"lookup", "enter", "g", "enter")
        await console.see("filter: agent:clerk version:1", "GOAL")
        await console.press("q")
        await console.see("calls by tool, against")
        await console.press("a")
        await console.see_dialog("What do you want to know?")
        await console.confirm(fields={"question": "refused-lately"})
        await console.see_dialog("Ask what a document asks?")
        await console.confirm()
        await console.see("Which agents were refused", "buyer", "REFUSED")
        refused = int(console.console.pane.rows[0].cells["steps"].text)
        await asyncio.to_thread(desk.ask, "buyer", "echo", text="again")
        await console.press("a")
        await console.see_dialog("What do you want to know?")
        await console.confirm(fields={"question": "refused-lately"})
        await console.see_dialog("Ask what a document asks?")
        await console.confirm()
        await console.see("Which agents were refused", f" {refused + 1} ")
        await console.press("2", "colon", *"trace", "enter")
        await console.see("No run is chosen")


async def test_what_an_output_rested_on_leads_to_its_steps(desk: DeskWorld) -> None:
    run = desk.clerk.open_run("rest on this")
    decided = run.decide("books.lookup_charge", {"charge_id": "ch_9"})
    run.settle(decided["decision"])
    async with session(desk.plane) as console:
        await console.press("4", "slash", *"rest", "space", *"on", "enter")
        await console.see("rest on this", "1/1")
        await console.press("b")
        await console.see("rested on", "books.lookup_charge", "1/1")
        await console.press("enter")
        await console.see("clerk version 1", "2/2")
        await console.press("q")
        await console.see("rested on", "BASIS")
        await console.press("d")
        await console.see("Its run", "What came before it, the latest first")
        await console.press("q")
        await console.press("colon", *"ask", "enter")
        await console.see_dialog("What do you want to know?")
        await console.confirm(fields={"question": "rested-on"})
        await console.see_dialog("Of which run or step?")
        await console.confirm(fields={"key": "dec_none"})
        await console.see("✗ ")


async def test_runs_that_wait_for_a_person_are_told_from_others(desk: DeskWorld) -> None:
    async with session(desk.plane) as console:
        await console.press("4", "slash", *"state", "colon", *"held", "enter")
        await console.see("◐ held", "clerk", "filter: state:held")
        await console.see_no_more("● open")
        await console.press("slash", "ctrl+u", *"state", "colon", *"open", "enter")
        await console.see("● open", "buyer")
        await console.see_no_more("◐ held")
