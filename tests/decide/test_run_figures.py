"""What routing looks at of a run, in a store of each kind, and that a replay looks at the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from tests.decide.still import WORLD
from watchkeeper.decide.catalogue import CatalogueView, build_catalogue
from watchkeeper.decide.policies.applying import Applying
from watchkeeper.decide.records import find_decision
from watchkeeper.decide.replay.service import Replays
from watchkeeper.decide.run_figures import highest_risk, largest_amount, tool_errors
from watchkeeper.decide.runs.envelope import Envelopes
from watchkeeper.decide.service import Decider
from watchkeeper.identity.enrolment import enrol, redeem_enrolment
from watchkeeper.identity.model import NewRun
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import Answer, Ask, Outcome, OutcomeStatus
from watchkeeper.wire.plane import File
from watchkeeper.wire.policy import StartReplay

AGENT = "refund-assistant"
ROUTED = (
    WORLD.replace("max_steps: 12", "max_steps: 100000")
    .replace(
        "{default: small-fast}",
        "{default: small-fast, escalate_on: [{tool_error_rate_gt: 0.2}, {amount_usd_ge: 150},"
        " {risk_ge: critical}]}",
    )
    .replace("provider_model: small-1}", "provider_model: small-1, escalates_to: large}")
    + "---\nmodel: {name: large, provider: local, provider_model: small-1}\n"
)
PERMIT = "permit (principal, action, resource);"
FORBID = '@id("no-large") forbid (principal, action, resource == Model::"large");'


@dataclass
class Ground:
    store: Store
    view: CatalogueView
    decider: Decider
    replays: Replays
    run: str
    token: str

    async def refund(self, amount: float, status: OutcomeStatus | None = "succeeded") -> Answer:
        """Ask for a refund, and say how it ended; None: not yet."""
        arguments = {"charge_id": f"ch_{amount}", "amount_usd": amount}
        ask = Ask(name="stripe.create_refund", arguments=arguments)
        answer = await self.decider.decide(self.token, ask)
        if status is not None and answer.verdict == "permit":
            await self.decider.settle(answer.decision, Outcome(status=status))
        return answer

    async def call(self) -> Answer:
        ask = Ask(kind="model", name="small-fast", fulfils=("route",))
        return await self.decider.decide(self.token, ask)

    async def figures(self) -> tuple[tuple[int, int], int, str | None]:
        def read(tx: Transaction) -> tuple[tuple[int, int], int, str | None]:
            return (
                tool_errors(tx, self.run),
                largest_amount(tx, self.run),
                highest_risk(tx, self.run),
            )

        return await self.store.read(read)


@pytest.fixture
async def ground(store: Store) -> AsyncIterator[Ground]:
    view = CatalogueView(build_catalogue({}))
    applying = Applying(store, view)
    files = [("w.yaml", ROUTED), ("p.cedar", PERMIT)]
    await applying.apply(files, prune=False, actor="person/a")
    decider = Decider(store, view)
    secret = await store.write(lambda tx: enrol(tx, AGENT, ttl_seconds=60, actor="a"))
    credential = await store.write(lambda tx: redeem_enrolment(tx, secret.secret))
    _, issued = await Envelopes(decider).open(credential.secret, NewRun("refund"))
    replays = Replays(store)
    yield Ground(store, view, decider, replays, issued.run, issued.token)
    await replays.stop()


async def test_the_figures_of_a_run_are_what_it_has_done(ground: Ground) -> None:
    assert await ground.figures() == ((0, 0), 0, None)
    await ground.call()
    assert await ground.figures() == ((0, 0), 0, None), "a model call is no tool call"
    await ground.refund(20)
    await ground.refund(30, "failed")
    await ground.refund(25, None)
    assert await ground.figures() == ((1, 2), 30_000_000, "medium")
    await ground.refund(10, "unknown")
    assert (await ground.figures())[0] == (2, 3), "what nobody knows the end of did not go well"
    delete = Ask(name="cloud.delete", arguments={})
    assert (await ground.decider.decide(ground.token, delete)).verdict == "hold"
    assert (await ground.figures())[2] == "critical", "what was asked for counts, permitted or not"


async def test_an_escalation_is_recorded_with_what_it_looked_at(ground: Ground) -> None:
    answer = await ground.call()
    assert answer.routed is not None
    assert (answer.routed.model, answer.routed.cause) == ("small-fast", "named")
    await ground.refund(160)
    answer = await ground.call()
    assert answer.routed is not None
    assert answer.routed.reason == (
        "escalated to large: the run asked to move $160.00 (>= $150.00)"
    )
    (duty,) = answer.obligations
    assert (duty.kind, duty.model) == ("route", "large")
    row = await ground.store.read(lambda tx: find_decision(tx, answer.decision))
    assert (row.model, row.route_cause, row.route_reason) == (
        "large",
        "contract",
        answer.routed.reason,
    )
    assert row.route_seen == '{"largest_amount":160000000,"tool_errors":[0,1]}'


async def test_a_replay_leads_calls_as_they_were_led(ground: Ground) -> None:
    """It looks at the figures of then; one that was not looked at counts as nothing."""
    await ground.call()
    await ground.refund(160)
    await ground.call()
    await ground.refund(170)
    files = (File(path="no.cedar", text=FORBID),)
    started = await ground.replays.start(StartReplay(files=files, since_seconds=60), by="person/a")
    result = await ground.replays.read(started.replay, wait_seconds=30)
    assert (result.state, result.looked_at, result.differ) == ("done", 4, 1)
    (group,) = result.groups
    assert group.count == 1
