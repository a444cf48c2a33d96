"""Rate limits in the decision path: what spends them, what does not, and what is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.decide.still import POLICY, WORLD, StillFacts, catalogue, refund
from tests.rig.stores import sqlite_url
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.decide.catalogue import CatalogueView, build_catalogue
from watchkeeper.decide.model import Action
from watchkeeper.decide.path import decide
from watchkeeper.decide.policies.applying import Applying
from watchkeeper.decide.runs.envelope import Envelopes
from watchkeeper.decide.service import Decider
from watchkeeper.gateways.mcp.results import refusal
from watchkeeper.gateways.model.errors import refused
from watchkeeper.identity.enrolment import enrol, redeem_enrolment
from watchkeeper.identity.model import NewRun
from watchkeeper.store.store import Store
from watchkeeper.tools.rates.tables import rates
from watchkeeper.wire.decisions import Answer, Ask, Usage

AGENT = "refund-assistant"
LIMITED = (
    WORLD.replace(
        "  owner: finance-ops\n", "  owner: finance-ops\n  rate_limit: {calls: 5, per: minute}\n", 1
    ).replace("  risk: medium\n", "  risk: medium\n  rate_limit: {calls: 60, burst: 2}\n")
    + """---
rate: {name: team-hour, scope: team/finance-ops, limit: {calls: 100, per: hour}}
---
rate: {name: sales-hour, scope: team/sales, limit: {calls: 1, per: hour}}
---
rate: {name: plane-second, scope: all, limit: {calls: 50, per: second}}
"""
)
SMALL = Ask(name="stripe.create_refund", arguments={"charge_id": "ch_1", "amount_usd": 20})
READ = Ask(name="stripe.lookup_charge")


async def opened(directory: Path, world: str = LIMITED) -> tuple[Decider, str, RehearsalClock]:
    """Put a world in force over a new store and open a run."""
    clock = RehearsalClock(frozen=True)
    store = await Store.open(sqlite_url(directory), clock)
    view = CatalogueView(build_catalogue({}))
    files = [("w.yaml", world), ("p.cedar", POLICY)]
    await Applying(store, view).apply(files, prune=False, actor="person/a")
    decider = Decider(store, view)
    secret = await store.write(lambda tx: enrol(tx, AGENT, ttl_seconds=60, actor="a"))
    credential = await store.write(lambda tx: redeem_enrolment(tx, secret.secret))
    _, issued = await Envelopes(decider).open(credential.secret, NewRun("refund", "person/c"))
    return decider, issued.token, clock


async def spent(decider: Decider) -> dict[str, int]:
    """Return what every limit's row says."""
    return await decider.store.read(
        lambda tx: {row.rule: row.arrival for row in tx.connection.execute(rates.select())}
    )


def test_every_limit_over_an_action_is_asked() -> None:
    facts = StillFacts(catalogue(LIMITED))
    decide(refund(), facts)
    assert facts.passed == [
        f"rate/agent/{AGENT}", "rate/tool/stripe.create_refund", "rate/team-hour",
        "rate/plane-second",
    ]  # fmt: skip
    facts.passed.clear()
    decide(Action("model", "small-fast", {}, Usage(input_tokens=5)), facts)
    assert facts.passed == [f"rate/agent/{AGENT}", "rate/team-hour", "rate/plane-second"]


def test_a_refusal_says_which_limit_and_when_to_come_again() -> None:
    rule = "rate/tool/stripe.create_refund"
    ruling, _ = decide(refund(), StillFacts(catalogue(LIMITED), too_soon=rule))
    assert (ruling.verdict, ruling.rule, ruling.retry_after_seconds) == ("deny", rule, 7)
    assert "60 calls a minute, 2 at once" in ruling.reason
    assert ruling.allowed_instead == "the same call in 7 s"
    answer = Answer(
        decision="dec_1",
        verdict="deny",
        rule=rule,
        reason=ruling.reason,
        digest="",
        retry_after_seconds=7,
    )
    told = refusal(answer)
    assert told["isError"] is True
    assert told["structuredContent"]["retryable"] is True
    assert told["structuredContent"]["retry_after_seconds"] == 7
    assert "denied again" not in told["content"][0]["text"]
    error = refused(answer)
    assert (error.status, error.retry, error.headers) == (429, True, ((b"retry-after", b"7"),))
    # clients heed no longer wait than a minute: they would only try again at once
    assert refused(answer.model_copy(update={"retry_after_seconds": 61})).retry is False


@pytest.mark.parametrize("action", [refund(300), refund(-1), Action("tool", "cloud.delete", {})])
def test_what_is_held_or_refused_before_spends_nothing(action: Action) -> None:
    facts = StillFacts(catalogue(LIMITED))
    assert decide(action, facts)[0].verdict != "permit"
    assert facts.passed == []


async def test_only_what_is_permitted_spends_it(tmp_path: Path) -> None:
    decider, token, clock = await opened(tmp_path)
    answers = [await decider.decide(token, SMALL) for _ in range(3)]
    assert [answer.verdict for answer in answers] == ["permit", "permit", "deny"]
    assert answers[2].rule == "rate/tool/stripe.create_refund"
    assert answers[2].retry_after_seconds == 1
    before = await spent(decider)
    assert (await decider.decide(token, SMALL)).verdict == "deny"
    assert await spent(decider) == before
    clock.advance(1)
    assert (await decider.decide(token, SMALL)).verdict == "permit"
    for _ in range(2):
        assert (await decider.decide(token, READ)).verdict == "permit"
    last = await decider.decide(token, READ)
    assert (last.verdict, last.rule) == ("deny", f"rate/agent/{AGENT}")
    assert last.retry_after_seconds == 11
    await decider.store.close()


async def test_a_replayed_answer_and_a_full_budget_spend_nothing(tmp_path: Path) -> None:
    world = LIMITED.replace("max_steps: 12", "max_steps: 2")
    decider, token, _ = await opened(tmp_path, world)
    keyed = READ.model_copy(update={"idempotency_key": "k-1"})
    await decider.decide(token, keyed)
    before = await spent(decider)
    assert (await decider.decide(token, keyed)).replay is not None
    assert await spent(decider) == before
    await decider.decide(token, READ)
    before = await spent(decider)
    full = await decider.decide(token, READ)
    assert full.rule.startswith("budget/")
    assert await spent(decider) == before
    await decider.store.close()


async def test_without_a_limit_no_row_is_touched(tmp_path: Path) -> None:
    decider, token, _ = await opened(tmp_path, WORLD)
    assert (await decider.decide(token, SMALL)).verdict == "permit"
    assert await spent(decider) == {}
    await decider.store.close()


def test_a_spent_limit_does_not_open_for_a_grant() -> None:
    facts = StillFacts(catalogue(LIMITED))
    digest = decide(refund(300), facts)[1].digest
    late = replace(facts, granted=frozenset({digest}), too_soon=f"rate/agent/{AGENT}")
    assert decide(refund(300), late)[0].rule == f"rate/agent/{AGENT}"
