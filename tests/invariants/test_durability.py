"""Acknowledged means durable: SIGKILL at any point loses no decision that was answered."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

import aiohttp

from tests.rig.agent import Run
from tests.rig.plane import Plane
from tests.rig.world import POLICY, budget_document, world

ROUNDS = 3
CLIENTS = 8
CALLS_CAP = 100_000


def _decisions_on_record(plane: Plane) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    after = ""
    while True:
        position: dict[str, Any] = {"after": after} if after else {}
        page = plane.operator.get("/v1/decisions", limit=200, **position)
        found |= {row["decision"]: row for row in page["rows"]}
        after = page.get("next") or ""
        if not after:
            return found


async def _ask_until_killed(plane: Plane, runs: list[Run], enough: int) -> list[dict[str, Any]]:
    """Ask from every run at once; kill the plane after `enough` answers; return all answers."""
    answers: list[dict[str, Any]] = []
    reached = asyncio.Event()

    async def ask(http: aiohttp.ClientSession, run: Run, client: int) -> None:
        number = 0
        headers = {"authorization": f"Bearer {run.token}"}
        while True:
            number += 1
            amount = 300 if number % 5 == 0 else 12
            arguments = {"charge_id": f"ch_{client}{number}", "amount_usd": amount}
            body = {"kind": "tool", "name": "books.create_refund", "arguments": arguments}
            async with http.post(f"{plane.url}/v1/decide", json=body, headers=headers) as answer:
                found = json.loads(await answer.read())
                assert answer.status == 200, found
            answers.append(found)
            if len(answers) >= enough:
                reached.set()

    async with aiohttp.ClientSession() as http:
        tasks = [asyncio.create_task(ask(http, run, n)) for n, run in enumerate(runs)]
        waiter = asyncio.create_task(reached.wait())
        await asyncio.wait([waiter, *tasks], return_when=asyncio.FIRST_COMPLETED)
        await asyncio.to_thread(plane.kill)
        for task in tasks:
            with contextlib.suppress(aiohttp.ClientError, ConnectionError):
                await task
        waiter.cancel()
    return answers


async def test_killed_planes_forget_no_answer(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane(clock=None)
    budget = budget_document("all-day", "all", "day", tool_calls=CALLS_CAP)
    plane.apply(*world(budget), policy__cedar=POLICY)
    agent = plane.enrol("clerk")
    acknowledged: dict[str, dict[str, Any]] = {}
    for number in range(ROUNDS):
        runs = [agent.open_run(f"round {number}") for _ in range(CLIENTS)]
        for answer in await _ask_until_killed(plane, runs, enough=40 + 37 * number):
            acknowledged[answer["decision"]] = answer
        await asyncio.to_thread(plane.restart)
    recorded = _decisions_on_record(plane)
    lost = acknowledged.keys() - recorded.keys()
    assert not lost, f"{len(lost)} of {len(acknowledged)} acknowledged decisions are gone"
    for decision, answer in acknowledged.items():
        assert recorded[decision]["verdict"] == answer["verdict"]
        assert recorded[decision]["request"] == answer["request"]
    assert {answer["verdict"] for answer in acknowledged.values()} == {"permit", "hold"}

    pending = {e["request"] for e in plane.events(type="request.created")}
    assert {a["request"] for a in acknowledged.values() if a["request"]} <= pending
    verification = plane.operator.get("/v1/audit/verification")
    assert verification["ok"], verification

    rows = plane.operator.get("/v1/budgets", limit=200)["rows"]
    (calls,) = [r for r in rows if r["scope"] == "all" and r["measure"] == "tool_calls"]
    permitted = sum(row["verdict"] == "permit" for row in recorded.values())
    assert calls["posted"] + calls["held"] == permitted <= calls["cap"]
