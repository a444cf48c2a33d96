"""Looking back and ahead over a store of each kind: replays, sets, versions, explanations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from tests.decide.still import POLICY, WORLD
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Conflict, Invalid, NotFound
from watchkeeper.decide.catalogue import CatalogueView, build_catalogue
from watchkeeper.decide.explaining import explain
from watchkeeper.decide.model import Action
from watchkeeper.decide.policies import policy_sets
from watchkeeper.decide.policies.applying import Applying
from watchkeeper.decide.replay.service import MOST_KEPT, MOST_RUNNING, PAGE, Replays
from watchkeeper.decide.runs.envelope import Envelopes
from watchkeeper.decide.service import Decider
from watchkeeper.identity.enrolment import enrol, redeem_enrolment
from watchkeeper.identity.model import NewRun
from watchkeeper.identity.recorded import recorded_runs
from watchkeeper.store.store import Store
from watchkeeper.wire.decisions import Ask
from watchkeeper.wire.plane import File
from watchkeeper.wire.policy import ReplayResult, StartReplay

AGENT = "refund-assistant"
AMPLE = WORLD.replace("max_steps: 12", "max_steps: 100000")
STRICTER = POLICY.replace("200000000", "50000000")


@dataclass
class Ground:
    store: Store
    view: CatalogueView
    applying: Applying
    decider: Decider
    replays: Replays
    run: str
    token: str

    async def refund(self, amount: float, charge: str = "ch_1") -> str:
        arguments = {"charge_id": charge, "amount_usd": amount}
        ask = Ask(name="stripe.create_refund", arguments=arguments)
        return (await self.decider.decide(self.token, ask)).verdict

    async def replay(self, policy: str | None = None, **more: int) -> ReplayResult:
        files = () if policy is None else (File(path="p.cedar", text=policy),)
        wanted = StartReplay(files=files, since_seconds=more.pop("since", 3600), **more)
        started = await self.replays.start(wanted, by="person/a")
        return await self.replays.read(started.replay, wait_seconds=30)


@pytest.fixture
async def ground(store: Store) -> AsyncIterator[Ground]:
    view = CatalogueView(build_catalogue({}))
    applying = Applying(store, view)
    await applying.apply([("w.yaml", AMPLE), ("p.cedar", POLICY)], prune=False, actor="person/a")
    decider = Decider(store, view)
    secret = await store.write(lambda tx: enrol(tx, AGENT, ttl_seconds=60, actor="a"))
    credential = await store.write(lambda tx: redeem_enrolment(tx, secret.secret))
    _, issued = await Envelopes(decider).open(credential.secret, NewRun("refund"))
    replays = Replays(store)
    yield Ground(store, view, applying, decider, replays, issued.run, issued.token)
    await replays.stop()


async def test_pages_join_without_a_gap(ground: Ground) -> None:
    wanted = PAGE + 7
    for number in range(wanted):
        await ground.refund(60 if number % 3 else 20, f"ch_{number}")
    assert await ground.refund(250) == "hold"
    same = await ground.replay()
    assert (same.state, same.looked_at, same.same) == ("done", wanted + 1, wanted + 1)
    other = await ground.replay(STRICTER)
    (group,) = other.groups
    assert other.differ == group.count == sum(bool(n % 3) for n in range(wanted))
    assert len(group.examples) == 5
    ids = [one.decision for one in group.examples]
    assert ids == sorted(ids, reverse=True), "newest first"


async def test_only_what_is_recent_enough_is_looked_at(
    ground: Ground, clock: RehearsalClock
) -> None:
    await ground.refund(20)
    clock.advance(100)
    await ground.refund(30)
    assert (await ground.replay(since=99)).total == 1
    assert (await ground.replay(since=101)).total == 2
    assert (await ground.replay(since=101, most=1)).total == 1


async def test_ended_replays_are_kept_for_a_while_and_few_run_at_once(ground: Ground) -> None:
    await ground.refund(20)
    first = await ground.replay()
    for _ in range(MOST_KEPT):
        await ground.replay()
    with pytest.raises(NotFound):
        await ground.replays.read(first.replay)
    starts = [ground.replays.start(StartReplay(), by="person/a") for _ in range(MOST_RUNNING + 1)]
    found = await asyncio.gather(*starts, return_exceptions=True)
    assert [type(one) for one in found] == [*[ReplayResult] * MOST_RUNNING, Conflict]
    await ground.replays.stop()
    assert (await ground.replay()).state == "done"


async def test_sets_versions_and_going_back(ground: Ground, clock: RehearsalClock) -> None:
    await ground.refund(250)
    ask = Ask(name="small-fast", kind="model", estimate={"input_tokens": 20_000})
    assert (await ground.decider.decide(ground.token, ask)).verdict == "deny"
    (row,) = await ground.store.read(lambda tx: policy_sets.list_sets(tx, ground.view.now))
    assert (row.name, row.stage, row.version) == ("p", "enforce", 1)
    assert (row.holds_day, row.denials_day) == (1, 1)
    clock.advance(86_401)
    (row,) = await ground.store.read(lambda tx: policy_sets.list_sets(tx, ground.view.now))
    assert (row.holds_day, row.denials_day) == (0, 0)

    for text in (STRICTER, POLICY + "// more\n", STRICTER):
        await ground.applying.apply([("p.cedar", text)], prune=False, actor="person/b")
    listed, following = await ground.store.read(
        lambda tx: policy_sets.list_versions(tx, "p", after=None, limit=2)
    )
    assert [(one.version, one.in_force) for one in listed] == [(4, True), (3, False)]
    rest, last = await ground.store.read(
        lambda tx: policy_sets.list_versions(tx, "p", after=following, limit=2)
    )
    assert ([one.version for one in rest], last) == ([2, 1], None)
    assert rest[1].diff.startswith("--- nothing")

    await ground.applying.roll_back("policy", "p", to=1, seen=4, actor="person/c", reason="no")
    detail = await ground.store.read(lambda tx: policy_sets.read_set(tx, ground.view.now, "p"))
    assert (detail.version, detail.text, detail.by) == (5, POLICY, "person/c")
    assert {one.policy: one.effect for one in detail.rules} == {
        "refund-over-200": "ask",
        "no-long-calls": "forbid",
    }
    with pytest.raises(Conflict):
        await ground.applying.roll_back("policy", "p", to=2, seen=4, actor="a", reason="late")
    with pytest.raises(NotFound):
        await ground.store.read(lambda tx: policy_sets.read_set(tx, ground.view.now, "q"))


async def test_an_explanation_reads_only(ground: Ground) -> None:
    arguments = {"charge_id": "ch_1", "amount_usd": 250}
    action = Action("tool", "stripe.create_refund", arguments)
    found = await ground.store.read(
        lambda tx: explain(tx, ground.view.now, recorded_runs(tx, [ground.run])[ground.run], action)
    )
    assert (found.verdict, found.rule) == ("hold", "policy/refund-over-200")
    listed, _ = await ground.store.read(
        lambda tx: policy_sets.list_set_decisions(
            tx, ground.view.now, "p", agents=None, after=None, limit=9
        )
    )
    assert listed == []


async def test_files_are_read_away_from_the_loop(ground: Ground) -> None:
    """Whoever sends what takes long to read holds up nobody's decision."""
    bad = [File(path="x.yaml", text="nothing: 1")]
    files = [(file.path, file.text) for file in bad]
    for reading in (
        ground.replays.start(StartReplay(files=tuple(bad)), by="person/a"),
        ground.applying.plan(files, prune=False),
        ground.applying.apply(files, prune=False, actor="person/a"),
    ):
        task = asyncio.ensure_future(reading)
        await asyncio.sleep(0)
        assert not task.done(), "it was read before anybody else had a turn"
        with pytest.raises(Invalid):
            await task
