"""What is kept of runtimes and their runs: governed, rogue, ended, vanished; slow and gone ones."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.rig.deadline import eventually_async
from tests.runtimes.agent_server import AgentServer
from tests.runtimes.watched import RUNTIME, Ground, said, watching
from watchkeeper.core.errors import Conflict, Forbidden, NotFound
from watchkeeper.decide.notices.concerned import Notices
from watchkeeper.decide.runs.children import end_run
from watchkeeper.identity.model import Workload
from watchkeeper.identity.runs import find_run, renew_token
from watchkeeper.runtimes import changes
from watchkeeper.runtimes.rogues import DIGEST_SECONDS
from watchkeeper.runtimes.rules import LOST_SECONDS


@pytest.fixture
async def ground(database_url: str) -> AsyncIterator[Ground]:
    async with watching(database_url) as one:
        yield one


async def test_a_run_that_names_one_of_ours_is_ours(ground: Ground) -> None:
    ours = await ground.open()
    run = ground.server.begin(ours=ours)
    await ground.poll()
    row = (await ground.runs())[run]
    assert (row.standing, row.run, row.agent, row.state) == ("ours", ours, "clerk", "running")
    (found,) = await ground.events("runtime.run_found")
    assert found.run == ours
    assert not await ground.events("runtime.rogue_found")


async def test_any_other_is_rogue_and_told_of_once(ground: Ground) -> None:
    ours = await ground.open("reader")
    server = ground.server
    named = server.begin()
    others = server.begin(ours=ours)
    invented = server.begin(ours="run_00000000000000000000000000")
    unknown = server.begin(graph="nobody-said")
    for _ in range(3):
        await ground.poll(seconds=10)
    rows = await ground.runs()
    assert {row.standing for row in rows.values()} == {"rogue"}
    assert "names no run" in (rows[named].why or "")
    assert "one of reader" in (rows[others].why or "")
    assert "never opened here" in (rows[invented].why or "")
    assert rows[unknown].agent is None
    assert len(await ground.events("runtime.rogue_found")) == 4
    assert (await ground.row()).rogue == 4


async def test_what_began_after_its_envelope_had_ended_is_rogue(ground: Ground) -> None:
    ours = await ground.open()
    await ground.envelopes.close(await _token(ground, ours), ours, "succeeded", None)
    run = ground.server.begin(ours=ours, created_at="2099-01-01T00:00:00+00:00")
    await ground.poll()
    assert "had ended" in ((await ground.runs())[run].why or "")


async def _token(ground: Ground, run: str) -> str:
    issued = await ground.store.write(
        lambda tx: renew_token(tx, Workload("clerk", "proof"), run, ttl_seconds=60, epoch=0)
    )
    return issued.token


async def test_a_rogue_run_is_adopted_and_its_envelope_ends_with_it(ground: Ground) -> None:
    run = ground.server.begin()
    await ground.poll()
    row = await ground.runtimes.adopt(
        "there", run, agent="clerk", by="person/ada", reason="nightly job"
    )
    assert (row.standing, row.adopted_by, row.reason) == ("adopted", "person/ada", "nightly job")
    await ground.poll(seconds=10)
    assert (await ground.runs())[run].standing == "adopted"
    with pytest.raises(Conflict, match="governed already"):
        await ground.runtimes.adopt("there", run, agent="clerk", by="person/ada", reason="again")
    ground.server.end(run)
    await ground.poll(seconds=10)
    assert (await ground.runs(live=False))[run].state == "done"
    envelope = await ground.store.read(lambda tx: find_run(tx, row.run or ""))
    assert envelope is not None
    assert (envelope.state, envelope.agent) == ("succeeded", "clerk")


async def test_nothing_is_adopted_for_an_agent_without_a_contract(ground: Ground) -> None:
    run = ground.server.begin()
    await ground.poll()
    with pytest.raises(Forbidden):
        await ground.runtimes.adopt("there", run, agent="nobody", by="person/ada", reason="mine")
    assert (await ground.runs())[run].standing == "rogue"
    with pytest.raises(NotFound):
        await ground.runtimes.adopt("there", "no-run", agent="clerk", by="person/ada", reason="x")


async def test_a_run_that_vanishes_is_unknown_and_then_lost(ground: Ground) -> None:
    run = ground.server.begin(ours=await ground.open())
    await ground.poll()
    ground.server.forget(run)
    await ground.poll(seconds=10)
    row = (await ground.runs())[run]
    assert (row.state, row.lost_at) == ("unknown", None)
    for _ in range(3):
        await ground.poll(seconds=LOST_SECONDS)
    assert (await ground.runs())[run].lost_at is not None
    assert len(await ground.events("runtime.run_lost")) == 1
    ground.clock.advance(changes.KEPT_SECONDS / 2)
    await ground.runtimes.purge()
    assert run in await ground.runs()
    ground.clock.advance(changes.KEPT_SECONDS)
    await ground.runtimes.purge()
    assert not await ground.runs()


async def test_no_more_runs_are_kept_than_there_is_room_for(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "MOST_KEPT", 3)
    first, *runs = [ground.server.begin() for _ in range(3)]
    await ground.poll()
    assert (await ground.row()).complete
    left_out = ground.server.begin()
    await ground.poll(seconds=10)
    assert set(await ground.runs(live=False)) == {first, *runs}
    row = await ground.row()
    assert (row.complete, row.health) == (False, "degraded")
    assert row.problem == "1 left out: no more than 3 of its runs are kept"
    # what has ended makes way
    ground.server.end(first)
    for _ in range(2):
        await ground.poll(seconds=10)
    assert set(await ground.runs(live=False)) == {*runs, left_out}
    row = await ground.row()
    assert (row.complete, row.health, row.problem) == (True, "ok", None)
    assert len(await ground.events("runtime.rogue_found")) == 4


async def test_one_that_ended_is_asked_how_and_forgotten_after_a_day(ground: Ground) -> None:
    run = ground.server.begin(ours=await ground.open())
    await ground.poll()
    ground.server.end(run, "error")
    await ground.poll(seconds=10)
    assert run not in await ground.runs()
    assert (await ground.runs(live=False))[run].state == "failed"
    ground.clock.advance(2 * 86_400)
    await ground.runtimes.purge()
    assert not await ground.runs(live=False)


async def test_after_a_restart_it_is_known_and_how_old_it_is(ground: Ground) -> None:
    run = ground.server.begin()
    await ground.poll()
    ground.server.mode = "broken"
    ground.clock.advance(3600)
    await ground.restart()
    row = await ground.row()
    assert (row.health, row.age_seconds, row.rogue) == ("unknown", 3600, 1)
    assert (await ground.runs())[run].state == "running"
    assert len(await ground.events("runtime.rogue_found")) == 1


async def test_one_that_fails_is_asked_ever_less_often_and_told_of(ground: Ground) -> None:
    await ground.poll()
    assert (await ground.row()).health == "ok"
    ground.server.mode = "broken"
    await ground.poll(seconds=10)
    assert (await ground.row()).health == "degraded"
    waits = []
    for _ in range(8):
        await ground.poll(seconds=10)
        watched = ground.runtimes.polling.get("there")
        assert watched is not None
        waits.append((watched.next_at - ground.clock.now()) // 1_000_000)
    assert (await ground.row()).health == "down"
    assert waits == sorted(waits)
    assert waits[-1] == 270  # five minutes, with its jitter
    ground.server.mode = "well"
    await ground.poll(seconds=300)
    assert (await ground.row()).health == "ok"
    types = [event.type for event in await ground.events("runtime.went_down", "runtime.came_back")]
    assert types == ["runtime.went_down", "runtime.came_back"]


async def test_a_hanging_one_is_asked_once_at_a_time_and_holds_up_no_other(
    ground: Ground,
) -> None:
    with AgentServer() as other:
        text = RUNTIME.format(url=other.url, timeout=5).replace("name: there", "name: other")
        await ground.apply(text)
        run = other.begin()
        ground.server.mode = "hanging"
        polling = ground.runtimes.polling
        for _ in range(20):
            ground.clock.advance(400)
            polling.poll_due()
            await ground.poll(name="other")
        rows, _ = await ground.runtimes.runs("other", standing=None, live=True, after=None, limit=9)
        assert [row.id for row in rows] == [run]
        assert other.count("/info") >= 20
        await eventually_async(_asked(ground.server), "it was asked")
        assert ground.server.count("/info") == 1
        ground.server.released.set()


def _asked(server: AgentServer):  # type: ignore[no-untyped-def]
    async def look() -> bool:
        return server.count("/info") > 0

    return look


async def test_a_document_that_changed_counts_at_once(ground: Ground) -> None:
    run = ground.server.begin(ours=await ground.open())
    await ground.poll()
    text = RUNTIME.format(url=ground.server.url, timeout=5)
    await ground.apply(text.replace("agent: clerk", "agent: reader").replace(
        "{id: report, agent: reader}", "{id: report, agent: clerk}"))  # fmt: skip
    await ground.poll()
    row = (await ground.runs())[run]
    assert (row.standing, row.agent) == ("rogue", "reader")


async def test_what_means_harm_is_said_to_be_broken_and_believed_in_nothing(
    ground: Ground,
) -> None:
    run = ground.server.begin(ours=await ground.open())
    await ground.poll()
    ground.server.mode = "garbled"
    for _ in range(12):
        await ground.poll(seconds=400)
    assert (await ground.row()).health in ("degraded", "down")
    ground.server.mode = "well"
    hostile = ground.server.begin()
    thread = ground.server.thread_of(hostile)
    ground.server.runs[thread][0]["run_id"] = "\x1b[2Jrun\n"
    ground.server.threads[thread]["metadata"] = {"watchkeeper_paused": ["x"]}
    await ground.poll(seconds=400)
    assert set(await ground.runs()) == {run}
    assert not (await ground.row()).complete


async def test_whoever_answers_for_the_runtime_is_told_of_a_rogue_run(ground: Ground) -> None:
    await ground.apply(
        "channel: {name: push, url: 'env:PUSH'}",
        "person: {name: bob, contacts: [{channel: push}]}",
        "person: {name: ada, contacts: [{channel: push}]}",
    )
    run = ground.server.begin()
    await ground.poll()
    (event,) = await ground.events("runtime.rogues_told")
    notices = Notices(ground.decider.coverage, "root")
    told = await ground.store.read(lambda tx: notices.plan(tx, event, ground.view.now))
    assert [one.recipient for one in told] == ["bob"]
    assert run in told[0].payload


async def test_many_rogue_runs_are_told_of_together_and_not_at_every_poll(ground: Ground) -> None:
    ground.server.begin()
    await ground.poll()
    later = []
    for _ in range(3):
        later += [ground.server.begin(), ground.server.begin()]
        await ground.poll(seconds=10)
    assert len(await ground.events("runtime.rogues_told")) == 1
    await ground.restart()
    for _ in range(2):
        await ground.poll(seconds=DIGEST_SECONDS)
    (_, digest) = await ground.events("runtime.rogues_told")
    assert (digest.body["count"], digest.body["owner"]) == (6, "finance-ops")
    assert said(digest) == (f"6 rogue runs in runtime there: {', '.join(later[:5])}, …")


async def test_a_run_whose_beginning_nobody_knows_began_when_it_was_first_seen(
    ground: Ground,
) -> None:
    """Its runtime does not say when: an envelope that was closed before covers it no more."""
    ours = await ground.open()
    before = ground.server.begin(ours=ours)
    await ground.poll(seconds=10)
    await ground.store.write(lambda tx: end_run(tx, "clerk", ours, "succeeded", None))
    after = ground.server.begin(ours=ours)
    await ground.poll(seconds=10)
    rows = await ground.runs()
    assert (rows[before].standing, rows[after].standing) == ("ours", "rogue")
    assert rows[after].why == "the run that it names had ended before it began"
