"""The watch over runs on both stores: each change is told once, and every alarm ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import pytest

from tests.health.ground import AGENT, SECOND, Ground, open_ground, with_health
from watchkeeper.decide.runs.children import end_run
from watchkeeper.decide.runs.fleet import describe_agents
from watchkeeper.decide.runs.health import Health
from watchkeeper.decide.runs.unsettled import recover
from watchkeeper.health.service import RUN
from watchkeeper.identity.model import IssuedRun, ReplayOf
from watchkeeper.kill.model import LockTarget, NewLock
from watchkeeper.kill.service import lift, put_in_force
from watchkeeper.store import timers
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.agents import AgentRow

WORLD = with_health(silent_after_seconds=60, stuck_after_seconds=120)


@pytest.fixture
async def ground(database_url: str) -> AsyncIterator[Ground]:
    async with open_ground(database_url, WORLD) as opened:
        yield opened


async def row(ground: Ground) -> AgentRow:
    catalogue = ground.decider.catalogue.now
    return (await ground.store.read(lambda tx: describe_agents(tx, catalogue, [AGENT])))[0]


async def end(ground: Ground, run: IssuedRun) -> None:
    await ground.store.write(lambda tx: end_run(tx, AGENT, run.run, "succeeded", None))
    await ground.follow()


async def test_a_run_falls_silent_is_lost_and_comes_back(ground: Ground) -> None:
    run = await ground.open()
    assert (await ground.shown(run)).health == "working"
    await ground.pass_time(59)
    assert ((await ground.shown(run)).health, await ground.told()) == ("quiet", [])
    await ground.pass_time(1)
    assert ((await ground.shown(run)).health, (await row(ground)).state) == ("silent", "silent")
    await ground.pass_time(59)
    assert await ground.told() == ["run.silent"]
    await ground.pass_time(1)
    shown = await ground.shown(run)
    assert (shown.health, shown.health_why) == ("lost", "no sign for 2 m 00 s")
    await ground.pass_time(5000, step=500)
    assert await ground.told() == ["run.silent", "run.lost"]
    # a token that was renewed is a sign of life, and so is what it is used for
    run = await renewed(ground, run)
    await ground.follow()
    assert (await ground.shown(run)).health_why is None
    assert await ground.told() == ["run.silent", "run.lost", "run.back"]
    assert (await row(ground)).ailing_runs == 0


def forget_timer(tx: Transaction, run: str) -> None:
    tx.silent("lost")
    timers.cancel(tx, RUN, run)


async def renewed(ground: Ground, run: IssuedRun) -> IssuedRun:
    from watchkeeper.decide.runs.envelope import Envelopes

    return (await Envelopes(ground.decider).renew(ground.credential, run.run))[1]


async def test_actions_and_heartbeats_keep_a_run_alive(ground: Ground) -> None:
    run = await ground.open()
    for turn in range(6):
        await ground.pass_time(50)
        if turn % 2:
            taken = await ground.health.beat(run.token)
            assert (taken.run, taken.health, taken.next_seconds) == (run.run, "working", 30)
        else:
            await ground.act(run, f"ch_{turn}")
    assert await ground.told() == []
    await ground.pass_time(60)
    assert await ground.told() == ["run.silent"]
    await ground.health.beat(run.token)
    assert await ground.told() == ["run.silent", "run.back"]


async def test_a_call_may_take_its_time(ground: Ground) -> None:
    run = await ground.open()
    answer = await ground.ask(run)
    await ground.pass_time(899, step=100)
    assert ((await ground.shown(run)).health, await ground.told()) == ("working", [])
    await ground.report(run, answer)
    await ground.pass_time(59)
    assert await ground.told() == []
    await ground.pass_time(1)
    assert await ground.told() == ["run.silent"]


async def test_a_call_that_nobody_reports_leaves_it_stuck_while_it_lives(ground: Ground) -> None:
    run = await ground.open()
    answer = await ground.ask(run)
    for _ in range(45):
        await ground.pass_time(20)
        await ground.health.beat((run := await renewed(ground, run)).token)
    await ground.pass_time(1)
    assert await ground.told() == []
    await ground.health.beat(run.token)
    assert await ground.told() == ["run.stuck"]
    assert "should have ended" in ((await ground.shown(run)).health_why or "")
    # a late report is progress
    await ground.report(run, answer)
    await ground.follow()
    assert await ground.told() == ["run.stuck", "run.back"]


async def test_the_same_call_again_and_again_is_stuck(ground: Ground) -> None:
    run = await ground.open()
    for _ in range(25):
        await ground.pass_time(5)
        await ground.act(run)
    await ground.pass_time(1)
    assert await ground.told() == ["run.stuck"]
    assert "again and again" in ((await ground.shown(run)).health_why or "")
    assert (await row(ground)).health == "stuck"
    await ground.act(run)
    await ground.follow()
    assert await ground.told() == ["run.stuck"]
    await ground.act(run, "ch_2")
    await ground.follow()
    assert await ground.told() == ["run.stuck", "run.back"]


async def test_a_run_that_waits_for_a_person_is_quiet_and_not_silent(ground: Ground) -> None:
    run = await ground.open()
    held = await ground.ask(run, usd=300)
    assert held.verdict == "hold"
    await ground.pass_time(600, step=50)
    assert await ground.told() == []
    assert (await ground.shown(run)).health == "quiet"
    # nobody decides: then it is told so, and silence counts from there
    await ground.pass_time(5000, step=50)
    assert await ground.told() == ["run.silent", "run.lost"]


async def test_a_paused_run_is_not_silent_and_gets_its_time_after(ground: Ground) -> None:
    run = await ground.open()
    target = LockTarget("agent", AGENT)
    lock = await ground.store.write(
        lambda tx: put_in_force(tx, NewLock(target, mode="pause", reason="lunch", by="person/a"))
    )
    await ground.pass_time(1000, step=30)
    assert await ground.told() == []
    await ground.store.write(
        lambda tx: lift(tx, lock.lock, reason="over", by="person/a", authority=0)
    )
    await ground.pass_time(59)
    assert await ground.told() == []
    await ground.pass_time(70, step=10)
    assert await ground.told() == ["run.silent"]
    # to pause what is silent already is no sign of life
    await ground.store.write(
        lambda tx: put_in_force(tx, NewLock(target, mode="pause", reason="odd", by="person/a"))
    )
    await ground.pass_time(500, step=50)
    assert await ground.told() == ["run.silent", "run.lost"]
    assert (await ground.shown(run)).health == "lost"


async def test_what_its_runtime_does_not_know_any_more_is_lost(ground: Ground) -> None:
    run = await ground.open()
    await ground.pass_time(5)
    ground.missing[run.run] = ground.now()
    await ground.health.check([run.run])
    assert await ground.told() == ["run.lost"]
    await ground.pass_time(5)
    await ground.act(run)
    await ground.follow()
    await ground.pass_time(30, step=5)
    assert await ground.told() == ["run.lost", "run.back"]


async def test_an_alarm_ends_with_its_run(ground: Ground) -> None:
    run = await ground.open()
    await ground.pass_time(200, step=10)
    assert (await row(ground)).ailing_runs == 1
    await end(ground, run)
    found = await row(ground)
    assert (found.ailing_runs, found.health, found.state) == (0, None, "never seen")
    assert (await ground.shown(run)).health is None
    await ground.pass_time(1000, step=100)
    assert await ground.told() == ["run.silent", "run.lost"]
    assert await ground.store.read(lambda tx: timers.find(tx, RUN, run.run)) is None


async def test_an_agent_is_silent_only_when_none_of_its_runs_lives(ground: Ground) -> None:
    first, second = await ground.open(), await ground.open()
    for turn in range(4):
        await ground.pass_time(30)
        await ground.act(second, f"ch_{turn}")
    found = await row(ground)
    assert (found.state, found.health, found.ailing_runs) == ("working", "working", 1)
    await ground.pass_time(60)
    found = await row(ground)
    assert (found.state, found.health, found.ailing_runs) == ("silent", "silent", 2)
    assert (await ground.shown(first)).health == "lost"


async def test_another_plane_goes_on_watching(ground: Ground) -> None:
    silent, quiet = await ground.open(), await ground.open()
    await ground.pass_time(50)
    await ground.act(quiet)
    await ground.pass_time(20)
    assert await ground.told() == ["run.silent"]
    await ground.health.stop()
    # what happened while no plane followed is found when the next one starts
    await ground.act(silent, "ch_9")
    await ground.store.write(partial(forget_timer, run=quiet.run))
    await recover(ground.decider)
    ground.health = Health(ground.store, ground.decider.catalogue)
    await ground.health.start()
    assert await ground.told() == ["run.silent", "run.back"]
    await ground.pass_time(65, step=5)
    assert sorted(await ground.told()) == ["run.back", *["run.silent"] * 3]


async def test_of_an_agent_nothing_is_expected_unless_its_contract_says_so(ground: Ground) -> None:
    await ground.pass_time(100_000, step=10_000)
    assert (await row(ground)).state == "never seen"
    await ground.put(with_health(expect_every_seconds=3600))
    await ground.pass_time(3599)
    assert await ground.told() == []
    await ground.pass_time(1)
    assert await ground.told() == ["agent.silent"]
    found = await row(ground)
    assert (found.state, found.health) == ("silent", "silent")
    assert found.why == "it does something at least every 1 h 00 m"
    run = await ground.open()
    await ground.follow()
    assert await ground.told() == ["agent.silent", "agent.back"]
    await end(ground, run)
    await ground.pass_time(7200, step=600)
    assert await ground.told() == ["agent.silent", "agent.back", "agent.silent"]
    await ground.put(WORLD)
    assert await ground.told() == ["agent.silent", "agent.back", "agent.silent", "agent.back"]
    await ground.pass_time(7200, step=600)
    assert (await ground.told()).count("agent.silent") == 2


async def test_what_is_replayed_is_no_sign_of_an_expected_agent(ground: Ground) -> None:
    await ground.put(with_health(expect_every_seconds=3600))
    run = await ground.open()
    await ground.act(run)
    await end(ground, run)
    await ground.pass_time(1800, step=600)
    was = await row(ground)
    forked = await ground.open(replay=ReplayOf(run.run, "dec_1", "person/ada"))
    await ground.act(forked, "ch_2")
    assert (await row(ground)).last_seen_at == was.last_seen_at
    await ground.pass_time(1801, step=600)
    assert await ground.told() == ["agent.silent"]


async def test_signs_are_told_as_they_were_given(ground: Ground) -> None:
    run = await ground.open()
    opened = ground.now()
    assert (await ground.shown(run)).seen_at == opened
    await ground.pass_time(7)
    await ground.health.beat(run.token)
    assert (await ground.shown(run)).seen_at == opened + 7 * SECOND
