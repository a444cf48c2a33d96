"""What happened while a fleet worked: the ledger's word checked against the tools' own books."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watchkeeper.client.address import Address
from watchkeeper.client.api import PlaneClient
from watchkeeper.core.errors import Unavailable
from watchkeeper.core.money import dollars
from watchkeeper.demo import fleet
from watchkeeper.demo.agents.profile import STOPPED
from watchkeeper.demo.approver import ScriptedApprover
from watchkeeper.demo.preparation import wait_for_plane
from watchkeeper.demo.reconcile import Books, Call, reconcile
from watchkeeper.demo.tool_servers.workplaces import WORKPLACES
from watchkeeper.wire.plane import EventRow

PAGE = 500
PACE = 3.0
HURRY = 8.0
PLANE_SECONDS = 30.0
READY_SECONDS = 60.0
POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Mark:
    """Where ledger and books stood before the fleet began."""

    sequence: int
    calls: Mapping[str, int]


async def run_headless(
    state: Path,
    *,
    socket: Path,
    url: str,
    seconds: float,
    pace: float = PACE,
    hurry: float = HURRY,
    approve: bool = True,
) -> dict[str, Any]:
    """Run the fleet for a while under the plane at `socket`, end it, and report.

    With `approve`, a scripted approver decides as the operator. Raises `Unavailable` if plane
    or fleet do not come up.
    """
    directory = fleet.fleet_directory(state)
    async with PlaneClient(Address(socket=socket)) as client:
        await wait_for_plane(client, PLANE_SECONDS)
        mark = Mark((await client.status()).sequence, _last_calls(directory))
        fleet.start(state, socket=socket, url=url, pace=pace, hurry=hurry)
        approver = ScriptedApprover(client)
        deciding = asyncio.create_task(approver.work()) if approve else None
        try:
            await _wait_for_work(state)
            await asyncio.sleep(seconds)
        finally:
            if deciding:
                deciding.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await deciding
            await asyncio.to_thread(fleet.stop, state)
        return await report(client, directory, mark, seconds=seconds, scripted=approve)


async def report(
    client: PlaneClient, directory: Path, mark: Mark, *, seconds: float, scripted: bool
) -> dict[str, Any]:
    """Read the ledger and the books since `mark` and put them side by side."""
    events = await read_events(client, mark.sequence)
    calls = read_calls(directory, mark.calls)
    refunds = [call for call in calls if call.tool == "stripe.create_refund" and call.ok]
    asked = {}
    for request in {e.request for e in events if e.request}:
        detail = await client.request(request)
        asked[request] = {**detail.arguments, "tool": detail.tool}
    books = reconcile(events, calls, refunds, asked)
    verified = await client.verification()
    count = Counter(event.type for event in events)
    spend = sum(int(e.body.get("cost_micros", 0)) for e in events if e.type == "outcome.recorded")
    return {
        "seconds": seconds,
        "agents": len({e.agent for e in events if e.type == "run.opened"}),
        "runs": _runs(events, count),
        "calls": {
            "permitted": count["decision.permitted"],
            "held": count["decision.held"],
            "denied": count["decision.denied"],
            "denied_by_rule": _by_rule(events),
        },
        "approvals": {
            "decided_by": "a scripted approver, as the operator" if scripted else "people",
            "requested": count["request.created"],
            "approved": count["request.approved"],
            "rejected": count["request.denied"],
            "expired": count["request.expired"],
        },
        "refunds": {
            "executed": len(refunds),
            "amount": dollars(sum(round(c.arguments["amount_usd"] * 1_000_000) for c in refunds)),
            "with_approval": len(refunds) - len(books.refunds_without_approval),
            "without_approval": list(books.refunds_without_approval),
        },
        "spend": dollars(spend),
        "spend_micros": spend,
        "budgets_exhausted": count["budget.exhausted"],
        "budgets_topped_up": count["budget.topped_up"],
        "models": _models(events),
        "breakers": {
            "opened": count["breaker.opened"],
            "closed": count["breaker.closed"],
        },
        "upstream_calls": {
            "executed": len(calls),
            "with_event": len(calls) - len(books.calls_without_event),
            "without_event": list(books.calls_without_event),
        },
        "audit": {"ok": verified.ok, "entries": verified.entries, "what": verified.what},
        "checks": _checks(books, verified.ok),
    }


async def read_events(client: PlaneClient, after: int) -> list[EventRow]:
    """Return every entry of the ledger after a sequence, oldest first."""
    found: list[EventRow] = []
    while True:
        page = await client.events(after=after, limit=PAGE)
        if not page.rows:
            return found
        found += page.rows
        after = found[-1].sequence


def read_calls(directory: Path, after: Mapping[str, int]) -> list[Call]:
    """Return every call that the tool servers logged, by the governed tool's name."""
    found = []
    for name in WORKPLACES:
        with contextlib.closing(_open(directory, name)) as books:
            rows = books.execute(
                "SELECT * FROM calls WHERE call > ? ORDER BY call", (after.get(name, 0),)
            ).fetchall()
        found += [Call.of(name, row) for row in rows]
    return found


def _last_calls(directory: Path) -> dict[str, int]:
    last = {}
    for name in WORKPLACES:
        if (directory / f"{name}.sqlite3").exists():
            with contextlib.closing(_open(directory, name)) as books:
                last[name] = books.execute("SELECT coalesce(max(call), 0) FROM calls").fetchone()[0]
    return last


def _open(directory: Path, name: str) -> sqlite3.Connection:
    path = directory / f"{name}.sqlite3"
    if not path.exists():
        # The stdio server starts with its first call; before that it has no books.
        books = sqlite3.connect(":memory:")
        books.execute("CREATE TABLE calls (call, at, tool, arguments, ok, said)")
    else:
        books = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    books.row_factory = sqlite3.Row
    return books


async def _wait_for_work(state: Path) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + READY_SECONDS
    while len(fleet.status(state).agents) == 0:
        if loop.time() > end or not fleet.status(state).running:
            log = fleet.fleet_directory(state) / "fleet.log"
            raise Unavailable("the demo fleet did not begin to work", remedy=f"look into {log}")
        await asyncio.sleep(POLL_SECONDS)


def _runs(events: Sequence[EventRow], count: Counter[str]) -> dict[str, int]:
    closed = [e.body for e in events if e.type == "run.closed"]
    cut_off = sum(body.get("summary") == STOPPED for body in closed)
    return {
        "opened": count["run.opened"],
        "succeeded": sum(body.get("outcome") == "succeeded" for body in closed),
        "failed": sum(body.get("outcome") == "failed" for body in closed) - cut_off,
        "at_work_when_it_ended": cut_off,
    }


def _models(events: Sequence[EventRow]) -> dict[str, Any]:
    """Count who answered model calls, what was sent again, and where calls were led."""
    answered = [e.body for e in events if e.type == "outcome.recorded" and e.body.get("provider")]
    routed = [e.body["routed"] for e in events if "routed" in e.body]
    return {
        "answered_by": dict(sorted(Counter(str(b["provider"]) for b in answered).items())),
        "sent_again": sum(int(body.get("retries", 0)) for body in answered),
        "kept_answers": sum(1 for e in events if e.body.get("cached")),
        "led_by": dict(sorted(Counter(str(one.get("cause", "named")) for one in routed).items())),
    }


def _by_rule(events: Sequence[EventRow]) -> dict[str, int]:
    """Count denials by rule; the ids of runs and requests are left out so that they add up."""
    rules = Counter(
        _family(str(e.body.get("rule", ""))) for e in events if e.type == "decision.denied"
    )
    return dict(sorted(rules.items(), key=lambda pair: (-pair[1], pair[0])))


def _family(rule: str) -> str:
    parts = rule.split("/")
    return "/".join("*" if part.startswith(("run_", "req_", "lock_")) else part for part in parts)


def _checks(books: Books, audit: bool) -> dict[str, bool]:
    return {
        "every_refund_has_its_approval": not books.refunds_without_approval,
        "every_call_has_its_event": not books.calls_without_event,
        "ledger_verifies": audit,
    }
