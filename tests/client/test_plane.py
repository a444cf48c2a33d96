"""The typed clients against a real plane: an agent asks, a person decides, the feed tells."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.rig.plane import Plane
from tests.rig.world import POLICY, world
from watchkeeper.client.address import Address
from watchkeeper.client.agent import AgentClient, AgentRun
from watchkeeper.client.api import PlaneClient
from watchkeeper.client.feed import Events, Feed
from watchkeeper.core.errors import Conflict, Forbidden, NotFound, Unauthenticated
from watchkeeper.wire.agents import BusinessObject, Enrol, OpenRun
from watchkeeper.wire.budgets import TopUp
from watchkeeper.wire.decisions import Ask, Outcome
from watchkeeper.wire.locks import Lift, Lock, Target
from watchkeeper.wire.requests import Escalate, Vote

REFUND = {"charge_id": "ch_81", "amount_usd": 250}


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """A plane with one agent; each test opens its own run and looks at its own things."""
    plane = Plane(tmp_path_factory.mktemp("plane")).start()
    plane.apply(*world(), policies__cedar=POLICY)
    yield plane
    plane.close()


@pytest.fixture
async def client(plane: Plane) -> AsyncIterator[PlaneClient]:
    """The owner of the plane, over its socket."""
    async with PlaneClient(Address(socket=plane.socket)) as client:
        yield client


@pytest.fixture
async def run(plane: Plane, client: PlaneClient) -> AsyncIterator[AgentRun]:
    """An open run of the agent, opened as its workload would."""
    enrolment = await client.enrol(Enrol(agent="clerk"))
    async with AgentClient(plane.url) as agent:
        await agent.redeem(enrolment.secret)
        thing = BusinessObject(kind="ticket", id="4711")
        opened = await agent.open_run(OpenRun(goal="answer a ticket", business_object=thing))
        yield opened
        if (await client.run(opened.run)).closed_at is None:
            await opened.close("succeeded")


async def hold(run: AgentRun) -> str:
    """Ask for a refund that needs a person, and return the request."""
    held = await run.decide(Ask(name="books.create_refund", arguments=REFUND))
    assert held.verdict == "hold"
    assert held.request
    return held.request


async def test_a_held_action_is_approved_and_runs_once(client: PlaneClient, run: AgentRun) -> None:
    """Ask, hold, approve what was seen, ask again, settle."""
    request = await hold(run)
    assert request in [row.request for row in (await client.requests()).rows]
    detail = await client.request(request)
    voted = await client.vote(request, Vote(verdict="approve", digest=detail.digest))
    assert voted.state == "approved"
    answer = await run.decide(Ask(name="books.create_refund", arguments=REFUND))
    assert answer.verdict == "permit"
    await run.outcome(answer.decision, Outcome(status="succeeded"))
    assert (await client.request(request)).state == "succeeded"
    assert (await run.answer(answer.decision)).verdict == "permit"
    assert (await run.close("succeeded", "done")).state == "succeeded"
    assert (await client.run(run.run)).summary == "done"


async def test_a_second_decision_says_who_was_first(client: PlaneClient, run: AgentRun) -> None:
    """A vote on what is decided, or on another digest, is a conflict in words."""
    request = await hold(run)
    detail = await client.request(request)
    with pytest.raises(Conflict) as stale:
        await client.vote(request, Vote(verdict="approve", digest="sha256:00"))
    assert stale.value.code == "stale_digest"
    await client.vote(request, Vote(verdict="reject", digest=detail.digest, reason="too much"))
    with pytest.raises(Conflict) as late:
        await client.vote(request, Vote(verdict="approve", digest=detail.digest))
    assert detail.decided_by is None
    decided = await client.request(request)
    assert decided.decided_by is not None
    assert decided.decided_by.rpartition("/")[2] in late.value.message
    assert request in [row.request for row in (await client.requests(state="decided")).rows]


async def test_escalating_asks_the_next_level(client: PlaneClient, run: AgentRun) -> None:
    """A level is skipped once, by whoever saw it."""
    request = await hold(run)
    after = await client.escalate(request, Escalate(level=1))
    assert after.level == 2
    with pytest.raises(Conflict):
        await client.escalate(request, Escalate(level=1))


async def test_a_kill_stops_the_agent_until_it_is_lifted(
    client: PlaneClient, run: AgentRun
) -> None:
    """Preview, lock, refusal that names the lock, lift."""
    target = Target(kind="agent", name="clerk")
    radius = await client.preview_lock(target)
    assert radius.open_runs >= 1
    assert radius.confirm_text == "clerk"
    lock = await client.lock(Lock(target=target, mode="pause", reason="look"))
    assert len(lock.receipts) == 8
    refused = await run.decide(Ask(name="books.lookup_charge", arguments={"charge_id": "ch_1"}))
    assert refused.verdict == "deny"
    assert refused.rule == f"lock/{lock.lock}"
    assert (await client.status()).locks == 1
    assert [row.lock for row in (await client.locks()).rows] == [lock.lock]
    lifted = await client.lift(lock.lock, Lift(reason="fine"))
    assert lifted.lifted_at is not None
    answer = await run.decide(Ask(name="books.lookup_charge", arguments={"charge_id": "ch_1"}))
    assert answer.verdict == "permit"


async def test_budgets_are_read_and_topped_up_by_their_path(
    client: PlaneClient, run: AgentRun
) -> None:
    """Ids with slashes go into paths and come back."""
    await run.decide(Ask(name="books.lookup_charge", arguments={"charge_id": "ch_1"}))
    page = await client.budgets(scope=f"run/{run.run}")
    calls = next(row for row in page.rows if row.measure == "tool_calls")
    topped = await client.top_up(calls.budget, TopUp(amount=5, reason="more work"))
    assert topped.topped_up == 5
    assert (await client.budget(calls.budget)).topped_up == 5


async def test_the_feed_resumes_over_the_socket(
    plane: Plane, client: PlaneClient, run: AgentRun
) -> None:
    """Events come in order from the sequence asked for; history and feed agree."""
    before = (await client.status()).sequence
    await hold(run)
    wanted = {e.sequence for e in (await client.events(after=before)).rows}
    seen: list[int] = []
    async for item in Feed(Address(socket=plane.socket), after=before).follow():
        if isinstance(item, Events):
            seen += [event.sequence for event in item.events]
        if wanted <= set(seen):
            break
    assert seen == list(range(before + 1, seen[-1] + 1))


async def test_what_is_unknown_or_unproven_is_refused(plane: Plane, client: PlaneClient) -> None:
    """Each refusal arrives as its own kind of error."""
    with pytest.raises(NotFound):
        await client.agent("nobody")
    async with PlaneClient(Address(url=plane.url, token="wkp_wrong")) as stranger:
        with pytest.raises(Unauthenticated):
            await stranger.status()
    async with AgentClient(plane.url, "wka_wrong") as agent:
        with pytest.raises((Unauthenticated, Forbidden)):
            await agent.open_run(OpenRun(goal="nothing"))


async def test_every_list_route_answers_its_model(client: PlaneClient, run: AgentRun) -> None:
    """Each page reads into its rows."""
    await hold(run)
    assert (await client.agents()).rows[0].name == "clerk"
    assert (await client.agent("clerk")).envelope.rows
    assert (await client.runs(agent="clerk")).rows[0].run == run.run
    assert (await client.decisions(run=run.run)).rows[0].verdict == "hold"
    assert "request" in [need.kind for need in (await client.watch()).rows]
    assert (await client.upstreams()).rows
    assert (await client.verification()).ok
    assert (await client.events(type="request.")).rows
    assert "paths" in await client.openapi()
    assert await client.healthy()
    assert await client.ready()
