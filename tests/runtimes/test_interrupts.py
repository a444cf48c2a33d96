"""Interrupts of governed runs: asked of whom they should be, and each answered once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import update

from tests.rig.deadline import eventually_async
from tests.runtimes.watched import Ground, said, watching
from watchkeeper.approvals.rows import find
from watchkeeper.approvals.service import cast_vote
from watchkeeper.approvals.tables import requests
from watchkeeper.decide.people.directory import PeopleInForce
from watchkeeper.runtimes.tables import interrupts
from watchkeeper.store.statement import Row
from watchkeeper.wire.locks import TargetKind
from watchkeeper.wire.requests import Verdict

REFUND = {"name": "stripe.refund", "args": {"amount_usd": 40}, "description": "refund order 7"}
MAIL = {"name": "mail.send", "args": {"to": "ada"}}


def question(*actions: dict[str, Any]) -> dict[str, Any]:
    """Return what LangChain's middleware asks."""
    return {"action_requests": list(actions or [REFUND]), "review_configs": []}


@pytest.fixture
async def ground(database_url: str) -> AsyncIterator[Ground]:
    async with watching(database_url) as one:
        yield one


async def wait(ground: Ground, value: Any, id: str = "ask-1") -> str:
    """Have a governed run wait for a person; return the run of the server's."""
    run = ground.server.begin(ours=await ground.open())
    ground.server.ask(run, value, id)
    await ground.poll(seconds=10)
    return run


async def asked(ground: Ground) -> list[Row]:
    """Return every request, oldest first."""
    return await ground.store.read(
        lambda tx: list(tx.connection.execute(requests.select().order_by(requests.c.request)))
    )


async def kept(ground: Ground) -> list[Row]:
    return await ground.store.read(
        lambda tx: list(tx.connection.execute(interrupts.select().order_by(interrupts.c.request)))
    )


async def vote(ground: Ground, request: str, verdict: Verdict, person: str = "person/ada") -> None:
    row = await ground.store.read(lambda tx: find(tx, request))
    await ground.store.write(
        lambda tx: cast_vote(
            tx,
            request,
            person=person,
            roles=frozenset({"*"}),
            verdict=verdict,
            digest=row.digest,
            reason="I looked",
            people=PeopleInForce(tx, ground.view.now),
        )
    )


async def approve(ground: Ground, request: str) -> None:
    """Have everybody approve who is asked."""
    for person in ("person/ada", "person/bob"):
        if (await ground.store.read(lambda tx: find(tx, request))).state == "pending":
            await vote(ground, request, "approve", person)


async def carried(ground: Ground, state: str, seconds: float = 0) -> Row:
    """Return the one interrupt once it has come to a state."""

    async def look() -> Row | None:
        ground.clock.advance(seconds)
        await ground.runtimes.carry_due()
        (row,) = await kept(ground)
        return row if row.state == state else None

    return await eventually_async(look, state)


async def test_one_request_for_each_interrupt_asked_of_who_approves_the_tool(
    ground: Ground,
) -> None:
    run = await wait(ground, question())
    await ground.poll(seconds=10)
    (request,) = await asked(ground)
    assert (request.kind, request.tool, request.role) == (
        "interrupt",
        "stripe.refund",
        "refund-desk",
    )
    assert (request.risk, request.amount_micros) == ("high", 40_000_000)
    assert request.explanation == "refund order 7"
    row = (await ground.runs())[run]
    assert (row.state, row.request) == ("waiting", request.request)


@pytest.mark.parametrize(
    ("value", "tool"),
    [
        ("shall I go on?", "runtime.interrupt"),
        (question({"name": "nobody.knows", "args": {}}), "nobody.knows"),
        (question(MAIL), "mail.send"),
        (question({**MAIL, "name": "mail_send"}), "mail.send"),
    ],
)
async def test_what_no_contract_describes_or_asks_for_is_asked_of_the_agents_owner(
    ground: Ground, value: Any, tool: str
) -> None:
    await wait(ground, value)
    (request,) = await asked(ground)
    assert (request.role, request.tool) == ("finance-ops", tool)


async def test_one_answer_for_several_tools_needs_all_whom_any_needs(ground: Ground) -> None:
    await wait(ground, question(REFUND, MAIL))
    (request,) = await asked(ground)
    assert (request.risk, request.role) == ("high", "refund-desk")
    assert {"refund-desk", "finance-ops"} <= set(json.loads(request.asked))


async def test_nobody_is_asked_for_a_rogue_run(ground: Ground) -> None:
    run = ground.server.begin()
    ground.server.ask(run, question())
    await ground.poll()
    assert not await asked(ground)
    await ground.runtimes.adopt("there", run, agent="clerk", by="person/ada", reason="ours")
    await ground.poll(seconds=10)
    assert len(await asked(ground)) == 1


async def test_an_agent_cannot_bury_its_approvers(ground: Ground) -> None:
    for number in range(5):
        await wait(ground, question(), f"ask-{number}")
    assert len(await asked(ground)) == 3


@pytest.mark.parametrize("verdict", ["approve", "reject"])
async def test_a_decision_is_carried_once(ground: Ground, verdict: Verdict) -> None:
    run = await wait(ground, question())
    ours = (await ground.runs())[run].run
    (request,) = await asked(ground)
    await vote(ground, request.request, verdict)
    await asyncio.gather(*(ground.runtimes.carry_due() for _ in range(5)))
    await carried(ground, "applied")
    for _ in range(3):
        await ground.runtimes.carry_due()
        await ground.poll(seconds=10)
    type_ = {"approve": "approve", "reject": "reject"}[verdict]
    (answer,) = ground.server.resumed
    assert answer["ask-1"]["decisions"][0]["type"] == type_
    ended = await ground.store.read(lambda tx: find(tx, request.request))
    assert ended.state == {"approve": "succeeded", "reject": "denied"}[verdict]
    # what goes on is governed as what waited was
    assert {row.standing for row in (await ground.runs()).values()} == {"ours"}
    assert {row.run for row in (await ground.runs()).values()} == {ours}
    assert len(await asked(ground)) == 1


async def test_what_goes_on_of_an_adopted_run_is_governed(ground: Ground) -> None:
    run = ground.server.begin()
    ground.server.ask(run, question())
    await ground.poll()
    row = await ground.runtimes.adopt("there", run, agent="clerk", by="person/ada", reason="ours")
    await ground.poll(seconds=10)
    (request,) = await asked(ground)
    await vote(ground, request.request, "approve")
    await carried(ground, "applied")
    await ground.poll(seconds=10)
    (after,) = (await ground.runs()).values()
    assert (after.standing, after.run) == ("ours", row.run)
    assert not (await ground.events("run.closed"))


async def test_an_answer_that_arrived_before_a_crash_is_found_not_given_again(
    ground: Ground,
) -> None:
    await wait(ground, question())
    (request,) = await asked(ground)
    await vote(ground, request.request, "approve")
    await carried(ground, "applied")
    # as it stands where the plane ended after it sent the answer, and before it wrote so down
    await ground.store.write(lambda tx: _forget(tx, request.request))
    await ground.restart()
    await carried(ground, "applied", seconds=60)
    assert len(ground.server.resumed) == 1
    ended = await ground.store.read(lambda tx: find(tx, request.request))
    assert ended.state == "succeeded"


def _forget(tx: Any, request: str) -> None:
    tx.silent("a crash")
    tx.connection.execute(
        update(interrupts).values(state="applying", ended_at=None, next_at=tx.now)
    )
    tx.connection.execute(
        update(requests)
        .where(requests.c.request == request)
        .values(state="approved", redeemed_by=None, redeemed_at=None, ended_at=None)
    )


async def test_one_that_never_arrived_is_given_after_a_restart(ground: Ground) -> None:
    await wait(ground, question())
    (request,) = await asked(ground)
    ground.server.mode = "broken"
    await vote(ground, request.request, "approve")
    await carried(ground, "applying")
    await ground.restart()
    ground.server.mode = "well"
    await carried(ground, "applied", seconds=60)
    assert len(ground.server.resumed) == 1


async def test_answered_there_first_the_request_ends(ground: Ground) -> None:
    run = await wait(ground, question())
    (request,) = await asked(ground)
    ground.server.end(run)
    await ground.poll(seconds=10)
    ended = await ground.store.read(lambda tx: find(tx, request.request))
    assert ended.state == "cancelled"
    assert (await kept(ground))[0].state == "gone"
    (event,) = await ground.events("request.cancelled")
    assert "answered in runtime there" in said(event)


async def test_approved_here_and_answered_there_it_was_not_us(ground: Ground) -> None:
    run = await wait(ground, question())
    (request,) = await asked(ground)
    ground.server.end(run)
    await vote(ground, request.request, "approve")
    await carried(ground, "gone")
    assert not ground.server.resumed
    ended = await ground.store.read(lambda tx: find(tx, request.request))
    assert ended.state == "cancelled"


async def test_a_kill_revokes_it_and_rejects(ground: Ground) -> None:
    run = await wait(ground, question())
    await ground.lock("run", (await ground.runs())[run].run or "")
    await carried(ground, "applied")
    (answer,) = ground.server.resumed
    assert answer["ask-1"]["decisions"][0]["type"] == "reject"
    (request,) = await asked(ground)
    assert request.state == "revoked"


@pytest.mark.parametrize(
    ("kind", "name", "called"),
    [
        ("agent", "clerk", "mail.send"),
        ("tool", "mail.send", "mail.send"),
        ("tool", "mail.send", "mail_send"),
        ("runtime", "there", "mail.send"),
    ],
)
async def test_no_approval_is_carried_under_a_pause(
    ground: Ground, kind: TargetKind, name: str, called: str
) -> None:
    await wait(ground, question(REFUND, {**MAIL, "name": called}))
    (request,) = await asked(ground)
    lock = await ground.lock(kind, name, "pause")
    await approve(ground, request.request)
    for _ in range(3):
        ground.clock.advance(30)
        await ground.runtimes.carry_due()
        await ground.poll()
    assert not ground.server.resumed
    assert (await kept(ground))[0].state == "decided"
    await ground.kill.lift(lock, reason="it is fine", by="person/ada")
    await carried(ground, "applied", seconds=10)
    assert len(ground.server.resumed) == 1


async def test_a_lock_cuts_an_approval_that_is_being_carried(ground: Ground) -> None:
    """The lock comes into force after the look at locks, and before the answer is sent."""
    await wait(ground, question())
    (request,) = await asked(ground)
    await vote(ground, request.request, "approve")
    ground.server.asked.clear()
    ground.server.mode = "hanging"
    await ground.runtimes.carry_due()
    await eventually_async(_is_asked(ground))
    lock = await ground.lock("agent", "clerk", "pause", why="look first")
    ground.server.mode = "well"
    ground.server.released.set()

    async def said_why() -> bool:
        return "look first" in ((await kept(ground))[0].detail or "")

    await eventually_async(said_why, "it was cut")
    await ground.poll()
    assert not ground.server.resumed
    await ground.kill.lift(lock, reason="it is fine", by="person/ada")
    await carried(ground, "applied", seconds=60)
    assert len(ground.server.resumed) == 1


def _is_asked(ground: Ground) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return bool(ground.server.asked)

    return look


async def test_one_that_cannot_be_kept_as_it_is_keeps_no_other_from_being_asked(
    ground: Ground,
) -> None:
    for tool in ("\ud800", "x" * 40_000, "a\x00b"):
        run = ground.server.begin("report", ours=await ground.open("reader"))
        ground.server.ask(run, question({"name": tool, "args": {}}))
    await wait(ground, question())
    rows = await asked(ground)
    assert {row.agent for row in rows} == {"reader", "clerk"}
    assert len(rows) == 4
    crooked = [row for row in rows if row.agent == "reader"]
    assert sum("too large" in row.arguments for row in crooked) == 2


@pytest.mark.parametrize(
    ("allowed", "words"),
    [
        (["approve", "edit", "reject"], "edited arguments can be given in its runtime"),
        (["respond", "reject"], "it can only be rejected here"),
        (["approve", "reject"], None),
    ],
)
async def test_what_cannot_be_answered_here_is_said(
    ground: Ground, allowed: list[str], words: str | None
) -> None:
    config = {"action_name": "stripe.refund", "allowed_decisions": allowed}
    await wait(ground, question() | {"review_configs": [config]})
    (request,) = await asked(ground)
    if words is None:
        assert "runtime" not in request.rule_text
    else:
        assert words in request.rule_text


async def test_what_is_too_large_to_show_can_only_be_rejected(ground: Ground) -> None:
    await wait(ground, question({"name": "stripe.refund", "args": {"note": "x" * 100_000}}))
    (request,) = await asked(ground)
    assert "too large" in request.arguments
    await vote(ground, request.request, "approve")
    await carried(ground, "failed")
    assert not ground.server.resumed
    ended = await ground.store.read(lambda tx: find(tx, request.request))
    assert ended.state == "failed"


@pytest.mark.parametrize(
    "value",
    [None, 7, "\x1b[2J\x00", {"action_requests": [{"name": 1}]}, [[[]]], {"a": "\ud800"},
     {"action_requests": [{"name": "\x1b]0;x\x07", "args": {"\x00": 1e400}}]}, [{}], True],
)  # fmt: skip
async def test_whatever_it_asks_is_shown_without_harm(ground: Ground, value: Any) -> None:
    await wait(ground, value)
    (request,) = await asked(ground)
    shown = request.asks + request.tool + request.canonical
    assert "\x1b" not in shown
    assert "\x00" not in shown
    await vote(ground, request.request, "reject")
    await carried(ground, "applied")
