"""The auditor: repairs and says what has no timer, and tells the outside while all is well."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import delete

from tests.approvals.ground import open_one, timer_refs
from tests.rig.receiver import Receiver
from watchkeeper.api.needs import from_audit
from watchkeeper.approvals.auditing import Audit
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.plane.auditor import Auditor, heartbeat
from watchkeeper.store.store import Store
from watchkeeper.store.timers import timers
from watchkeeper.store.transaction import Transaction
from watchkeeper.tools.upstreams.egress import Egress


@pytest.fixture
async def egress() -> AsyncIterator[Egress]:
    """A way out that goes anywhere declared."""
    opened = Egress()
    yield opened
    await opened.close()


def lose_timers(tx: Transaction) -> None:
    """Take every timer away, as no code of ours does."""
    tx.silent("the test spoils it")
    tx.connection.execute(delete(timers))


async def test_what_lost_its_timer_gets_it_back_and_people_are_told_for_an_hour(
    store: Store, clock: RehearsalClock, egress: Egress
) -> None:
    woken: list[int] = []
    with Receiver() as receiver:
        url = f"{receiver.url}/beat/s3cret"
        auditor = Auditor(store, lambda: woken.append(1), heartbeat(egress, url))
        request = await open_one(store)
        await auditor.audit()
        assert [one.path for one in receiver.received] == ["/callback/beat/s3cret"]
        assert (auditor.found(), woken) == (None, [])
        await store.write(lose_timers)
        await auditor.audit()
        assert await timer_refs(store) == [request]
        assert auditor.found() == (clock.now(), Audit((request,), ()))
        assert woken
        assert len(receiver.received) == 1, "nobody is told that all is well"
        need = from_audit(*auditor.found() or (0, Audit()))
        assert "1 request had no timer" in need.text
        clock.advance(30)
        await auditor.audit()
        assert len(receiver.received) == 2
        assert auditor.found() is not None
        clock.advance(3600)
        assert auditor.found() is None


async def test_a_heartbeat_that_fails_is_logged_without_its_path(
    store: Store, egress: Egress, caplog: pytest.LogCaptureFixture
) -> None:
    with Receiver() as receiver:
        url = f"{receiver.url}/beat/s3cret"
    await Auditor(store, lambda: None, heartbeat(egress, url)).audit()
    assert "heartbeat did not reach" in caplog.text
    assert "s3cret" not in caplog.text
    assert heartbeat(egress, "") is None
