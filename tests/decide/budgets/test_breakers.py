"""An open breaker in the path: nothing passes but its probe, or at its rate."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.decide.still import POLICY, WORLD, StillFacts, catalogue, refund
from tests.rig.stores import sqlite_url
from watchkeeper.approvals.model import Grant
from watchkeeper.breakers import service
from watchkeeper.breakers.model import Alarm, Standing
from watchkeeper.core.clock import MICROSECONDS, RehearsalClock
from watchkeeper.decide.budgets.breakers import burned_by
from watchkeeper.decide.catalogue import CatalogueView, build_catalogue
from watchkeeper.decide.model import Action
from watchkeeper.decide.path import decide
from watchkeeper.decide.policies.applying import Applying
from watchkeeper.decide.runs.envelope import Envelopes
from watchkeeper.decide.service import Decider
from watchkeeper.identity.enrolment import enrol, redeem_enrolment
from watchkeeper.identity.model import NewRun
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import Ask, Outcome

AGENT = "refund-assistant"
BREAKER = f"runaway/{AGENT}"
AT = 1_795_000_000 * MICROSECONDS
LOOKUP = Action("tool", "stripe.lookup_charge", {"charge_id": "ch_1"})
MODEL = Action("model", "small-fast", {})
ASK = Ask(name="stripe.lookup_charge", arguments={"charge_id": "ch_1"})


def document(**more: object) -> str:
    said = {"name": "runaway", "scope": "all", "loop": {}, "errors": {}, "cost": {}, **more}
    return "\n---\n" + json.dumps({"breaker": said})


OPEN = Standing(
    BREAKER, "runaway", AGENT, 1, "open", "errors", "10 of the newest 20 calls failed", "run_1",
    opened_at=AT, since=AT,
)  # fmt: skip


def facts(standing: Standing = OPEN, *, seconds: int = 0, **more: object) -> StillFacts:
    return StillFacts(
        catalogue(WORLD + document(**more)),
        tripped=(standing,),
        now=AT + seconds * MICROSECONDS,
    )


@pytest.mark.parametrize("action", [LOOKUP, MODEL, refund()])
def test_every_call_is_refused_and_told_what_to_do(action: Action) -> None:
    ruling, progress = decide(action, facts())
    assert (ruling.verdict, ruling.rule) == ("deny", f"breaker/{BREAKER}")
    assert ruling.reason == (
        f"breaker runaway of agent {AGENT} is open since 2026-11-18T11:06:40Z (errors): "
        "10 of the newest 20 calls failed"
    )
    assert ruling.allowed_instead is not None
    assert "probe, from 2026-11-18T11:21:40Z on" in ruling.allowed_instead
    assert f"watchkeeper breakers reset {BREAKER}" in ruling.allowed_instead
    assert "do not retry" in ruling.allowed_instead
    assert progress.probes == ()


def test_what_nothing_in_force_covers_refuses_nothing() -> None:
    world = facts()
    for over in (WORLD, WORLD + document(scope="agent/other")):
        world.catalogue = catalogue(over)
        assert decide(LOOKUP, world)[0].verdict == "permit"


def test_after_the_cool_down_one_call_is_the_probe() -> None:
    ruling, progress = decide(LOOKUP, facts(seconds=900))
    assert ruling.verdict == "permit"
    assert progress.probes == (OPEN,)
    assert decide(LOOKUP, facts(seconds=899))[0].verdict == "deny"
    under_way = replace(OPEN, state="half-open", probe="dec_1")
    ruling, _ = decide(LOOKUP, facts(under_way, seconds=10**6))
    assert ruling.verdict == "deny"
    assert "until the probe under way went well" in str(ruling.allowed_instead)


def test_one_that_a_person_resets_has_no_probe() -> None:
    ruling, _ = decide(LOOKUP, facts(seconds=10**6, reset="person"))
    assert ruling.verdict == "deny"
    assert "probe" not in str(ruling.allowed_instead)


def test_what_costs_too_much_is_probed_by_a_model_call() -> None:
    dear = replace(OPEN, detector="cost")
    ruling, _ = decide(LOOKUP, facts(dear, seconds=900))
    assert ruling.verdict == "deny"
    assert "a model call may pass as a probe now" in str(ruling.allowed_instead)
    assert decide(MODEL, facts(dear, seconds=900))[0].verdict == "permit"


def test_the_call_that_went_round_is_no_probe() -> None:
    digest = decide(LOOKUP, StillFacts(catalogue(WORLD)))[1].digest
    loop = replace(OPEN, detector="loop", about=digest)
    assert decide(LOOKUP, facts(loop, seconds=900))[0].verdict == "deny"
    other = Action("tool", "stripe.lookup_charge", {"charge_id": "ch_2"})
    assert decide(other, facts(loop, seconds=900))[0].verdict == "permit"


def test_a_call_that_is_refused_otherwise_is_no_probe() -> None:
    world = facts(seconds=900)
    world.full = "run/run_1/tool_calls"
    ruling, _ = decide(LOOKUP, world)
    assert (ruling.verdict, ruling.rule) == ("deny", "budget/run/run_1/tool_calls")
    ruling, _ = decide(refund(300), facts(seconds=900))
    assert ruling.verdict == "hold"


def test_a_throttle_lets_calls_pass_at_a_rate() -> None:
    world = facts(then="throttle", throttle={"calls": 2, "per": "minute"})
    assert decide(LOOKUP, world)[0].verdict == "permit"
    assert world.passed == [f"breaker/{BREAKER}"]
    world.too_soon = f"breaker/{BREAKER}"
    ruling, _ = decide(LOOKUP, world)
    assert (ruling.verdict, ruling.rule) == ("deny", f"breaker/{BREAKER}")
    assert ruling.retry_after_seconds == 7
    assert "may make 2 calls a minute" in ruling.reason


def test_a_grant_passes_no_breaker() -> None:
    world = facts()
    world.granted = frozenset({decide(refund(300), StillFacts(world.catalogue))[1].digest})
    world.grant = Grant("req_1", "", 10**18, ("finance-ops",), ("person/ada",))
    assert decide(refund(300), world)[0].rule == f"breaker/{BREAKER}"


def test_the_budgets_over_an_agent_are_those_it_draws_on() -> None:
    budgets = [
        ("mine", f"agent/{AGENT}", "day"),
        ("each", "agent/*", "week"),
        ("team", "team/finance-ops", "month"),
        ("whole", "all", "hour"),
        ("others", "agent/other", "day"),
        ("run", "all", "run"),
        ("model", "model/small-fast", "day"),
    ]
    said = "".join(
        "\n---\n"
        + json.dumps({"budget": {"name": n, "scope": s, "period": p, "limits": {"spend_usd": 1}}})
        for n, s, p in budgets
    )
    found = {one.name: one.seconds for one in burned_by(catalogue(WORLD + said), AGENT)}
    assert found == {"mine": 86_400, "each": 604_800, "team": 2_592_000, "whole": 3_600}


@dataclass
class Ground:
    store: Store
    decider: Decider
    token: str

    async def trip(self) -> None:
        """Open the breaker, as the watch does."""
        self.decider.breakers.begin(AGENT)
        await self.store.write(self.unit)
        self.decider.breakers.end(AGENT)

    def unit(self, tx: Transaction) -> None:
        alarm = Alarm("errors", "they fail", "run_1")
        service.trip(
            tx, "runaway", AGENT, 1, alarm, does="pause", cool_down_seconds=900, reset="probe"
        )
        self.decider.breakers.changed(tx, AGENT)

    async def standing(self) -> Standing:
        found = await self.store.read(lambda tx: service.find(tx, BREAKER))
        assert found is not None
        return found


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    async with await Store.open(sqlite_url(tmp_path), RehearsalClock(frozen=True)) as store:
        view = CatalogueView(build_catalogue({}))
        files = [("w.yaml", WORLD + document(cool_down_seconds=60)), ("p.cedar", POLICY)]
        await Applying(store, view).apply(files, prune=False, actor="person/a")
        decider = Decider(store, view)
        secret = await store.write(lambda tx: enrol(tx, AGENT, ttl_seconds=60, actor="a"))
        credential = await store.write(lambda tx: redeem_enrolment(tx, secret.secret))
        _, issued = await Envelopes(decider).open(credential.secret, NewRun("x", "person/c"))
        yield Ground(store, decider, issued.token)


async def test_a_call_decided_in_the_same_batch_after_the_trip_is_refused(ground: Ground) -> None:
    before, _, after = await asyncio.gather(
        ground.decider.decide(ground.token, ASK),
        ground.trip(),
        ground.decider.decide(ground.token, ASK),
    )
    assert (before.verdict, after.verdict) == ("permit", "deny")
    assert after.rule == f"breaker/{BREAKER}"
    assert (await ground.standing()).refused == 1


async def test_of_many_calls_at_once_one_is_the_probe(ground: Ground) -> None:
    await ground.trip()
    ground.store.clock.advance(61)  # type: ignore[attr-defined]
    answers = await asyncio.gather(*(ground.decider.decide(ground.token, ASK) for _ in range(20)))
    permits = [one for one in answers if one.verdict == "permit"]
    assert len(permits) == 1
    assert (await ground.standing()).probe == permits[0].decision
    assert {one.rule for one in answers if one.verdict == "deny"} == {f"breaker/{BREAKER}"}


async def test_a_key_that_ran_is_not_answered_with_a_permit(ground: Ground) -> None:
    keyed = ASK.model_copy(update={"idempotency_key": "k-1"})
    first = await ground.decider.decide(ground.token, keyed)
    await ground.decider.settle(first.decision, Outcome(status="succeeded"))
    assert (await ground.decider.decide(ground.token, keyed)).replay is not None
    await ground.trip()
    assert (await ground.decider.decide(ground.token, keyed)).verdict == "deny"


async def test_nothing_is_asked_of_the_store_while_nothing_is_open(ground: Ground) -> None:
    assert AGENT not in ground.decider.breakers
    await ground.trip()
    assert AGENT in ground.decider.breakers
    await ground.decider.breakers.load(ground.store)
    assert AGENT in ground.decider.breakers

    def reset(tx: Transaction) -> None:
        service.reset(tx, BREAKER, by="person/ada", reason="over")
        ground.decider.breakers.changed(tx, AGENT)

    await ground.store.write(reset)
    assert AGENT not in ground.decider.breakers
    assert (await ground.decider.decide(ground.token, ASK)).verdict == "permit"
