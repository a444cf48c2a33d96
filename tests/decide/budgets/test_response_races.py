"""Many calls and votes at a budget's limit at once: of two planes on SQLite, of one on PostgreSQL,
which lets only one write.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import text

from tests.decide.still import POLICY, WORLD
from watchkeeper.approvals import service as approvals
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Conflict
from watchkeeper.decide.catalogue import CatalogueView, build_catalogue
from watchkeeper.decide.kill.owners import Onlookers, Owners
from watchkeeper.decide.kill.stop import KillSwitch
from watchkeeper.decide.notices.concerned import Notices
from watchkeeper.decide.policies.applying import Applying
from watchkeeper.decide.runs.envelope import Envelopes
from watchkeeper.decide.service import Decider
from watchkeeper.identity.enrolment import enrol, redeem_enrolment
from watchkeeper.identity.model import NewRun
from watchkeeper.store.store import Store
from watchkeeper.wire.decisions import Answer, Ask, Outcome, Usage

AMPLE = WORLD.replace("{max_steps: 12, max_cost_usd_per_run: 0.75}", "{}")
ASK = Ask(kind="model", name="small-fast", estimate=Usage(input_tokens=100, cost_micros=100))


def budget(*responses: dict[str, Any], period: str = "day") -> str:
    document = {
        "name": "day",
        "scope": "team/finance-ops",
        "period": period,
        "limits": {"input_tokens": 1000},
        "warn_at": [50],
        "responses": list(responses),
    }
    return json.dumps({"budget": document})


@dataclass
class Planes:
    """Two planes that share a database, and a run."""

    stores: tuple[Store, Store]
    deciders: list[Decider]
    views: list[CatalogueView]
    credential: str = ""
    token: str = ""

    async def open_run(self) -> None:
        """Open a run, which acts from here on."""
        wanted = NewRun("refund", "person/customer")
        _, issued = await Envelopes(self.deciders[0]).open(self.credential, wanted)
        self.token = issued.token

    async def apply(self, *documents: str) -> None:
        """Put documents in force on both."""
        files = [(f"{n}.yaml", one) for n, one in enumerate((AMPLE, *documents))]
        files.append(("p.cedar", POLICY))
        await Applying(self.stores[0], self.views[0]).apply(files, prune=False, actor="person/a")
        await Applying(self.stores[1], self.views[1]).load()

    async def ask(self, number: int) -> Answer:
        """Ask one of them for a model call."""
        return await self.deciders[number % 2].decide(self.token, ASK)

    async def spend(self, times: int) -> None:
        """Have calls permitted and settled."""
        for _ in range(times):
            answer = await self.ask(0)
            assert answer.verdict == "permit", answer
            done = Outcome(status="succeeded", usage=Usage(input_tokens=100))
            await self.deciders[0].settle(answer.decision, done)

    async def rows(self, query: str) -> list[Any]:
        """Read rows with plain SQL."""
        return await self.stores[0].read(
            lambda tx: [tuple(row) for row in tx.connection.execute(text(query))]
        )


@pytest.fixture
async def planes(store: Store, database_url: str, clock: RehearsalClock) -> AsyncIterator[Planes]:
    alone = database_url.startswith("postgresql")
    async with contextlib.AsyncExitStack() as opened:
        other = store
        if not alone:
            other = await opened.enter_async_context(await Store.open(database_url, clock))
        views = [CatalogueView(build_catalogue({})) for _ in range(2)]
        deciders = [Decider(one, view) for one, view in zip((store, other), views, strict=True)]
        for decider in deciders:
            KillSwitch(decider, [Owners(decider, Notices(decider.coverage, "root"), Onlookers())])
        planes = Planes((store, other), deciders, views)
        await planes.apply(budget())
        secret = await store.write(
            lambda tx: enrol(tx, "refund-assistant", ttl_seconds=60, actor="a").secret
        )
        credential = await store.write(lambda tx: redeem_enrolment(tx, secret).secret)
        planes.credential = credential
        await planes.open_run()
        yield planes


async def test_calls_at_the_limit_open_one_request(planes: Planes) -> None:
    await planes.apply(budget({"do": "ask", "top_up_percent": 100}))
    await planes.spend(10)
    held = await asyncio.gather(*(planes.ask(number) for number in range(24)))
    assert {one.verdict for one in held} == {"hold"}
    assert len({one.request for one in held}) == 1
    assert await planes.rows("select count(*) from events where type = 'budget.exhausted'") == [
        (1,)
    ]


async def test_two_approvals_top_up_once(planes: Planes) -> None:
    await planes.apply(budget({"do": "ask", "top_up_percent": 100}))
    await planes.spend(10)
    await planes.ask(0)
    ((request, digest),) = await planes.rows("select request, digest from requests")

    async def vote(number: int) -> bool:
        try:
            await planes.stores[number % 2].write(
                lambda tx: approvals.cast_vote(
                    tx,
                    request,
                    person=f"person/p{number}",
                    roles=frozenset({"finance-ops", "owner"}),
                    verdict="approve",
                    digest=digest,
                )
            )
        except Conflict:
            return False
        return True

    votes, answers = await asyncio.gather(
        asyncio.gather(*(vote(number) for number in range(6))),
        asyncio.gather(*(planes.ask(number) for number in range(8))),
    )
    assert sum(votes) == 1
    assert {one.request for one in answers if one.verdict == "hold"} <= {request}
    query = (
        "select topped_input_tokens, posted_input_tokens + held_input_tokens "
        "from budget_balances where scope = 'team/finance-ops'"
    )
    ((topped, used),) = await planes.rows(query)
    assert topped == 1000
    assert used <= 2000


async def test_a_level_is_told_once_by_both(planes: Planes) -> None:
    answers = await asyncio.gather(*(planes.ask(number) for number in range(10)))
    assert {one.verdict for one in answers} == {"permit"}
    assert await planes.rows("select count(*) from events where type = 'budget.warned'") == [(1,)]


async def test_who_spends_is_paused_once_by_both(planes: Planes) -> None:
    await planes.apply(budget({"do": "pause"}))
    await planes.spend(10)
    refused = await asyncio.gather(*(planes.ask(number) for number in range(12)))
    assert {one.verdict for one in refused} == {"deny"}
    assert await planes.rows("select target_kind, target_name, mode from locks") == [
        ("team", "finance-ops", "pause")
    ]


async def test_a_top_up_at_the_end_of_its_period_is_of_one_period_or_of_none(
    planes: Planes, clock: RehearsalClock
) -> None:
    await planes.apply(budget({"do": "ask", "top_up_percent": 100}, period="hour"))
    clock.advance(3600 - clock.now() // 1_000_000 % 3600 + 3540)
    await planes.open_run()
    await planes.spend(10)
    await planes.ask(0)
    ((request, digest),) = await planes.rows("select request, digest from requests")

    async def vote() -> bool:
        try:
            await planes.stores[1].write(
                lambda tx: approvals.cast_vote(
                    tx,
                    request,
                    person="person/p",
                    roles=frozenset({"finance-ops", "owner"}),
                    verdict="approve",
                    digest=digest,
                )
            )
        except Conflict as error:
            assert error.code in ("expired", "period_over")
            return False
        return True

    async def pass_on() -> None:
        clock.advance(60)

    voted, _, answer = await asyncio.gather(vote(), pass_on(), planes.ask(0))
    found = await planes.rows(
        "select period_key, topped_input_tokens from budget_balances "
        "where scope = 'team/finance-ops' order by period_key"
    )
    assert found[0][1] == (1000 if voted else 0)
    assert all(topped == 0 for _, topped in found[1:])
    assert answer.verdict in ("permit", "hold")
