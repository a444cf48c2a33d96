"""Callbacks under a lock: nobody is told to act on an approval that may not be used."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kill.guarded import Guarded
from tests.kill.test_races import PAY, approve, held
from tests.rig.receiver import Receiver
from tests.rig.stores import sqlite_url
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.decide.notices.webhooks import Webhooks
from watchkeeper.outbox.keys import WebhookKey
from watchkeeper.outbox.model import Attempt, Delivery
from watchkeeper.store.store import Store
from watchkeeper.tools.upstreams.egress import Egress
from watchkeeper.wire.locks import Mode, TargetKind


async def never(source: str) -> str:
    raise AssertionError("no secret is needed")


def delivery(run: str, request: str, type_: str) -> Delivery:
    """A callback as the outbox has it, claimed."""
    payload = json.dumps({"type": type_, "data": {"request": request}})
    return Delivery(
        "msg_1", "webhook", "ops", None, request, "clerk", run, 1, "sending", 1, None, 1, 0, None,
        None, 0, None, payload,
    )  # fmt: skip


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Guarded]:
    async with await Store.open(sqlite_url(tmp_path), RehearsalClock(frozen=True)) as store:
        yield await Guarded.open(store)


@pytest.mark.parametrize(
    ("kind", "name", "mode", "verdict"),
    [
        ("agent", "clerk", "pause", "later"),
        ("tool", "books.pay", "deny-new", "later"),
        ("upstream", "books", "drain", "moot"),
        ("person", "ada", "pause", "later"),
        ("approval", "", "pause", "later"),
        ("agent", "scribe", "stop", "sent"),
        ("agent", "clerk", "deny-new", "sent"),
        ("agent", "clerk", "stop", "moot"),
        ("approval", "", "stop", "moot"),
    ],
)
async def test_an_approval_is_told_once_it_may_be_used(
    guarded: Guarded, tmp_path: Path, kind: TargetKind, name: str, mode: Mode, verdict: str
) -> None:
    run = await guarded.open_run(behalf="ada.l")
    request = await held(guarded, run.token)
    await approve(guarded, request, "bob")
    egress = Egress()
    with Receiver() as receiver:
        hook = f"webhook: {{name: ops, url: {receiver.url!r}, signing: ed25519, " \
               "allow_private: true}"  # fmt: skip
        await guarded.applying.apply([("h.yaml", hook)], prune=False, actor="person/owner")
        stopped: list[str] = []
        handler = Webhooks(
            guarded.store,
            guarded.decider.catalogue,
            egress,
            never,
            WebhookKey(tmp_path / "signing"),
            lambda: stopped[0] if stopped else None,
        )

        async def send(type_: str = "request.approved") -> Attempt:
            (attempt,) = await handler.send([delivery(run.run, request, type_)])
            return attempt

        try:
            lock = await guarded.lock(kind, name or request, mode)
            attempt = await send()
            assert attempt.verdict == verdict
            assert len(receiver.received) == (verdict == "sent")
            assert (await send("request.revoked")).verdict == "sent", "that it is over may be told"
            told = len(receiver.received)
            await guarded.kill.lift(lock, reason="over", by="person/bob")
            if verdict == "later":
                assert "held back" in str(attempt.error)
                stopped.append("by hand")
                assert (await send()).verdict == "later"
                stopped.clear()
                assert (await send()).verdict == "sent"
                assert len(receiver.received) == told + 1
        finally:
            await egress.close()
    assert (await guarded.ask(run.token, "books.pay", **PAY)).verdict != "deny" or verdict == "moot"
