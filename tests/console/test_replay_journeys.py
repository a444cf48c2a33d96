"""Runs found by what they are, and looked at again step by step, by keys alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.replay_world import NOW, STRICTER, ReplayWorld
from tests.console.session import session
from tests.rig.plane import Plane
from tests.rig.provider import Provider
from watchkeeper.client.address import Address


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplayWorld]:
    provider = Provider(tmp_path_factory.mktemp("provider")).start()
    plane = Plane(tmp_path_factory.mktemp("replays")).start()
    try:
        yield ReplayWorld(plane, provider)
    finally:
        plane.close()
        provider.stop()


async def test_runs_are_found_by_what_they_are(played: ReplayWorld) -> None:
    replay = played.fork()
    played.plane.enrol("seller").open_run("sell more")
    async with session(played.plane) as console:
        await console.press("4", "slash")
        await console.see("agent:  state:  version:  for:  cost:  replay:")
        for typed, found, left_out in (
            ("agent:seller", "sell more", "$0.51"),
            ("state:succeeded", "$0.51", "sell more"),
            ("for:customer version:1", "$0.51", "sell more"),
            ("cost:0.30", "$0.51", "sell more"),
            (f"replay:{played.run.id}", "↻ clerk", "$0.51"),
            ("replay:any", "↻ clerk", "sell more"),
        ):
            await console.press("ctrl+u")
            await console.type(typed)
            await console.see(found)
            await console.see_no_more(left_out)
        await console.press("enter", "d")
        await console.see("A replay: somebody tried out", "replay of", replay[-12:])
        await console.press("q", "slash", "ctrl+u")
        await console.type("cost:dear")
        await console.see("cost: is at least so many dollars")
        await console.press("escape")
        await console.see("sell more", "$0.51")


async def test_a_run_is_gone_through_step_by_step(played: ReplayWorld) -> None:
    async with session(played.plane) as console:
        await console.press("4", "slash")
        await console.type("cost:0.30")
        await console.press("enter")
        await console.see("$0.51", "cost:0.30")
        await console.press("s")
        await console.see("as it happened, 3 steps", "books.create_refund", "✓ done", "✗ denied")
        await console.press("enter")
        await console.see("Step 1 of 3: books.create_refund", "What was put to the policies",
                          "amount_micros = 60000000")  # fmt: skip
        await console.press("right")
        await console.see("Step 2 of 3: small-fast", "answered by", "$0.50, 0 tokens")
        await console.press("G")
        await console.see("the charge was refunded", "Budgets before it", "spend")
        await console.press("J")
        await console.see("Step 3 of 3: books.close_account", "✗ denied  did not run")
        await console.press("left", "T")
        await console.see("clerk version 1", "chat small-fast")
        await console.press("s")
        await console.see("as it happened", "2/3")
        await console.press("g", "n")
        await console.see("3/3")
        await console.press("F")
        await console.see("fork: it did not run")


async def test_a_run_is_decided_again_under_a_file(
    played: ReplayWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "policy.cedar").write_text(STRICTER)
    async with session(played.plane) as console:
        await console.press("colon", *"replay", "enter")
        await console.see("No run is chosen")
        await console.press("w")
        await console.see("other rules: no run is chosen")
        console.console.show("replay", f"{played.run.id}:")
        await console.see("as it happened, 3 steps")
        await console.press("w")
        await console.see_dialog("Decide it again under which file?")
        await console.type("ru")
        await console.press("tab", "tab")
        await console.see("rules/policy.cedar")
        await console.press("enter")
        await console.see("policy.cedar: differs from step 1 on", "1 stopped, 0 let through")
        await console.see("◐ held", "*1", "~2", "the same")
        await console.press("enter")
        await console.see("Under policy.cedar", "◐ held", "Then")
        await console.press("q", "G", "n")
        await console.see("1/3")
        await console.press("x")
        await console.see("as it happened, 3 steps")
        await console.press("w")
        await console.see_dialog("Decide it again under which file?")
        await console.type("rules")
        await console.press("enter")
        await console.see("that is a directory")
        await console.press("slash", *"x", "enter")
        await console.see("there is no such file")
        await console.press("ctrl+u", "enter")
        await console.see("what is in force now: no verdict differs")


async def test_a_fork_is_confirmed_with_what_it_costs(played: ReplayWorld) -> None:
    sent = len(played.provider.requests())
    async with session(played.plane) as console:
        console.console.show("replay", f"{played.run.id}:")
        await console.see("as it happened, 3 steps")
        await console.press("g", "F")
        await console.see_dialog("What should books.create_refund have answered?")
        await console.confirm(fields={"result": NOW})
        await console.see_dialog("Ask small-fast once more?")
        await console.see("paid for by", "the charge was refunded", "1 result of a tool")
        assert len(played.provider.requests()) == sent
        await console.press("enter")
        await console.see_no_more("once more?")
        assert len(played.provider.requests()) == sent
        await console.press("F")
        await console.see_dialog("What should books.create_refund have answered?")
        await console.confirm(fields={"result": NOW})
        await console.see_dialog("Ask small-fast once more?")
        await console.confirm(reason="what if the bank is closed")
        await console.see("It said something else", NOW)
        assert len(played.provider.requests()) == sent + 1
        await console.press("G")
        await console.see("The replay", "no tool was called")


async def test_who_only_looks_forks_nothing(played: ReplayWorld) -> None:
    asked = {"person": "vera", "permission": "viewer"}
    token = played.plane.operator.post("/v1/persons/tokens", asked)["token"]
    address = Address(url=played.plane.url, token=token)
    async with session(played.plane, address=address) as console:
        await console.see("vera")
        console.console.show("replay", f"{played.run.id}:")
        await console.see("as it happened, 3 steps")
        await console.press("g", "F")
        await console.see("fork: this needs replay; vera is")
