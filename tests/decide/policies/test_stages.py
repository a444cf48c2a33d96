"""A policy set is observed, then warns, then decides; and only then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import select

from tests.decide.still import WORLD
from watchkeeper.api.needs import from_warned
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.digest import parse
from watchkeeper.core.errors import Conflict, NotFound
from watchkeeper.decide.catalogue import CatalogueView, build_catalogue
from watchkeeper.decide.policies.applying import Applying
from watchkeeper.decide.policies.warnings import find_warned
from watchkeeper.decide.runs.envelope import Envelopes
from watchkeeper.decide.service import Decider
from watchkeeper.decide.tables import decisions
from watchkeeper.identity.enrolment import enrol, redeem_enrolment
from watchkeeper.identity.model import NewRun
from watchkeeper.store.statement import Statement
from watchkeeper.store.store import Store
from watchkeeper.wire.decisions import Answer, Ask
from watchkeeper.wire.policy import Stage

BASE = '@id("contracts-permit") permit (principal, action, resource);'
CAREFUL = """
@id("careful") @message("No refund above $50.")
forbid (principal, action == Action::"use_tool", resource == Tool::"stripe.create_refund")
when { context.amount_micros > 50000000 };
"""
BY = "person/ada"


@dataclass
class Ground:
    """A decider with two policy sets in force."""

    store: Store
    applying: Applying
    view: CatalogueView
    decider: Decider
    token: str

    async def refund(self, amount: int) -> Answer:
        """Ask for a refund of so many dollars."""
        arguments = {"charge_id": "ch_1", "amount_usd": amount}
        return await self.decider.decide(
            self.token, Ask(name="stripe.create_refund", arguments=arguments)
        )

    async def move(self, seen: Stage, stage: Stage) -> None:
        """Move the careful set."""
        await self.applying.stage(
            "careful", stage, seen=seen, version=1, actor=BY, reason="it is time"
        )

    async def would(self, answer: Answer) -> Any:
        """Return what is on record of a decision's staged sets."""
        query = Statement(select(decisions.c.would, decisions.c.decision))
        rows = await self.store.read(query.all)
        (kept,) = [row.would for row in rows if row.decision == answer.decision]
        return parse(kept) if kept is not None else None


@pytest.fixture
async def ground(database_url: str) -> AsyncIterator[Ground]:
    """Put two sets in force and open a run."""
    async with await Store.open(database_url, RehearsalClock(frozen=True)) as store:
        view = CatalogueView(build_catalogue({}))
        applying = Applying(store, view)
        files = [("w.yaml", WORLD), ("base.cedar", BASE), ("careful.cedar", CAREFUL)]
        await applying.apply(files, prune=False, actor=BY)
        decider = Decider(store, view)
        secret = await store.write(
            lambda tx: enrol(tx, "refund-assistant", ttl_seconds=60, actor=BY)
        )
        credential = await store.write(lambda tx: redeem_enrolment(tx, secret.secret))
        new = NewRun("refund", "person/customer")
        _, issued = await Envelopes(decider).open(credential.secret, new)
        yield Ground(store, applying, view, decider, issued.token)


async def test_a_new_set_is_enforced(ground: Ground) -> None:
    answer = await ground.refund(51)
    assert (answer.verdict, answer.rule) == ("deny", "policy/careful")
    assert ground.view.now.shadows == ()
    assert await ground.would(answer) is None


async def test_an_observed_set_is_recorded_and_not_obeyed(ground: Ground) -> None:
    await ground.move("enforce", "observe")
    answer = await ground.refund(51)
    assert (answer.verdict, answer.rule, answer.warnings) == (
        "permit",
        "policy/contracts-permit",
        (),
    )
    assert await ground.would(answer) == [
        {
            "set": "careful",
            "stage": "observe",
            "verdict": "deny",
            "policy": "careful",
            "message": "No refund above $50.",
        }
    ]
    assert await ground.would(await ground.refund(50)) is None


async def test_a_warning_set_tells_the_agent_and_an_enforced_one_decides(ground: Ground) -> None:
    await ground.move("enforce", "warn")
    warned = await ground.refund(51)
    assert warned.verdict == "permit"
    assert warned.warnings == (
        "once enforced, policy careful would say deny: No refund above $50.",
    )
    assert "warning: once enforced" in warned.reason
    (found,) = await ground.store.read(lambda tx: find_warned(tx, ground.view.now))
    assert (found.set, found.policy, found.count) == ("careful", "careful", 1)
    assert "would have decided an action" in from_warned(found, mine=True).text
    await ground.move("warn", "enforce")
    assert await ground.store.read(lambda tx: find_warned(tx, ground.view.now)) == []
    assert (await ground.refund(52)).rule == "policy/careful"


async def test_stages_outlive_the_plane_and_not_the_set(ground: Ground) -> None:
    await ground.move("enforce", "observe")
    again = CatalogueView(build_catalogue({}))
    await Applying(ground.store, again).load()
    assert [(one.name, one.stage) for one in again.now.shadows] == [("careful", "observe")]
    without = [("w.yaml", WORLD), ("base.cedar", BASE)]
    await ground.applying.apply(without, prune=True, actor=BY)
    assert (await ground.refund(51)).verdict == "permit"
    await ground.applying.apply([("careful.cedar", CAREFUL)], prune=False, actor=BY)
    assert (await ground.refund(53)).rule == "policy/careful"


async def test_a_set_is_moved_only_as_it_was_seen(ground: Ground) -> None:
    with pytest.raises(Conflict, match="not observe"):
        await ground.move("observe", "warn")
    with pytest.raises(Conflict, match="version 1"):
        await ground.applying.stage(
            "careful", "warn", seen="enforce", version=2, actor=BY, reason="now"
        )
    with pytest.raises(NotFound):
        await ground.applying.stage(
            "nope", "warn", seen="enforce", version=1, actor=BY, reason="now"
        )


async def test_a_staged_permit_opens_nothing(ground: Ground) -> None:
    """Where the only permit is observed, the enforced sets decide as if it were not there."""
    await ground.applying.stage(
        "base", "observe", seen="enforce", version=1, actor=BY, reason="try without"
    )
    assert (await ground.refund(20)).rule == "policy/contract-allows"
    assert (await ground.refund(51)).rule == "policy/careful"
