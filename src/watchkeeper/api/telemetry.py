"""Telemetry: who sends it, what was found in it, and how the plane's own is exported."""

from __future__ import annotations

from collections.abc import Sequence

from watchkeeper.api.needs import weigh
from watchkeeper.api.table import MOST_ROWS, Call, Operation
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import NotFound
from watchkeeper.core.words import count
from watchkeeper.decide.telemetry import sent
from watchkeeper.decide.telemetry import strangers as unknown
from watchkeeper.decide.telemetry.findings import dismiss, words
from watchkeeper.decide.telemetry.meter import MOST_IN_HAND
from watchkeeper.decide.telemetry.strangers import Source
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces.telemetry import reading
from watchkeeper.traces.telemetry import usage as reported
from watchkeeper.traces.telemetry.rows import read_finding
from watchkeeper.wire.pages import Page
from watchkeeper.wire.plane import Need
from watchkeeper.wire.telemetry import (
    DismissFinding,
    Export,
    FindingRow,
    Intake,
    SenderRow,
    StrangerRow,
    TelemetryStatus,
    Usage,
    UsageRow,
)

_DOWN_SECONDS = 60
"""How long a receiver may fail before a person is asked to look."""
_SCORES = {"bypass": 145, "unmetered": 100, "unknown_agent": 65}
"""Of what is found, by its kind."""


async def status(call: Call) -> TelemetryStatus:
    """Show telemetry in and out."""
    rooms, seen = call.rooms, call.agents_seen()
    taking = rooms.telemetry
    strangers = taking.strangers.sources() if seen is None else []
    await rooms.projector.catch_up()

    def query(tx: Transaction) -> tuple[list[Row], int, int]:
        return reading.senders(tx, seen), reading.count_waiting(tx), reading.count_open(tx, seen)

    senders, waiting, findings = await rooms.store.read(query)
    return TelemetryStatus(
        address=rooms.http,
        senders=tuple(SenderRow(**row._asdict()) for row in senders),
        refused=taking.strangers.count,
        strangers=tuple(StrangerRow(**one._asdict()) for one in strangers),
        intake=Intake(
            in_hand=taking.meter.in_hand,
            most=MOST_IN_HAND,
            turned_away=taking.meter.turned_away,
            broken_off=taking.meter.broken_off,
            per_second=taking.meter.per_second(rooms.clock.now()),
        ),
        waiting=waiting,
        findings=findings,
        export=await _export(call),
    )


async def _export(call: Call) -> Export | None:
    exporter, store = call.rooms.exporter, call.rooms.store
    if exporter.target is None:
        return None
    counts, (after, told) = await store.read(lambda tx: (sent.counts_of(tx), sent.how_far(tx)))
    done = counts is not None and counts.sent_at is not None
    return Export(
        url=exporter.target.address,
        state="down" if exporter.failures else "up" if done else "unknown",
        problem=exporter.problem,
        behind=max(0, told - after),
        sent=counts.sent if counts else 0,
        refused=counts.refused if counts else 0,
        lost=counts.lost if counts else 0,
        passed_over=counts.passed_over if counts else 0,
        sent_at=counts.sent_at if counts else None,
        since=exporter.failing_since,
    )


async def usage(call: Call) -> Usage:
    """Show the tokens and costs that agents report, beside what was metered."""
    seen, agent = call.agents_seen(), call.text("agent")
    rows = await call.rooms.store.read(lambda tx: reported.listed(tx, seen, agent))
    return Usage(rows=tuple(_used(row) for row in rows))


def _used(row: Row) -> UsageRow:
    return UsageRow(
        agent=row.agent,
        run=row.run or None,
        metric=row.metric,
        since=row.since,
        last_at=row.last_at,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cost_micros=row.cost_micros,
        metered_tokens=row.metered_tokens,
        metered_micros=row.metered_micros,
    )


async def findings(call: Call) -> Page[FindingRow]:
    """List what was found in agents' telemetry."""
    dismissed = call.one_of("state", ("open", "dismissed")) == "dismissed"
    agent, after, limit = call.text("agent"), call.text("after"), call.limit()
    seen, head = call.agents_seen(), call.rooms.store.head
    found, following = await call.rooms.store.read(
        lambda tx: reading.findings(
            tx, agents=seen, agent=agent, dismissed=dismissed, after=after, limit=limit
        )
    )
    return Page[FindingRow](rows=tuple(_shown(row) for row in found), next=following, sequence=head)


async def dismiss_finding(call: Call) -> FindingRow:
    """Take a finding off the list."""
    body: DismissFinding = call.body
    finding = call.path("finding")
    row = await call.rooms.store.read(lambda tx: read_finding(tx, finding))
    if row is None:
        raise NotFound(
            f"there is no finding {finding!r:.60}", remedy="see `watchkeeper telemetry findings`"
        )
    call.check_agent("lift", row.agent)
    await call.rooms.store.write(lambda tx: dismiss(tx, finding, by=call.actor, reason=body.reason))
    return _shown(await call.rooms.store.read(lambda tx: read_finding(tx, finding)))


def _shown(row: Row) -> FindingRow:
    return FindingRow(**row._asdict(), text=words(row.kind, row.agent, row.subject))


async def needs_of_telemetry(call: Call) -> list[Need]:
    """Return what needs a person of telemetry: findings by agent, and an export that fails."""
    rooms, seen, mine = call.rooms, call.agents_seen(), call.who.may("lift")
    found, _ = await rooms.store.read(lambda tx: reading.findings(tx, agents=seen, limit=MOST_ROWS))
    of: dict[tuple[str, str], list[Row]] = {}
    for row in found:
        of.setdefault((row.kind, row.agent), []).append(row)
    needs = [from_findings(some, mine=mine) for some in of.values()]
    exporter, now = rooms.exporter, rooms.clock.now()
    lately = rooms.telemetry.strangers.lately(now) if seen is None else []
    if lately:
        needs.append(from_strangers(lately, mine=call.who.may("lift")))
    since = exporter.failing_since
    if since is not None and now - since >= _DOWN_SECONDS * MICROSECONDS:
        needs.append(from_export(exporter.problem, since, mine=call.who.may("deliveries")))
    return needs


def from_findings(some: Sequence[Row], *, mine: bool) -> Need:
    """An agent does or uses what no gateway saw, or somebody works under its name."""
    last = max(some, key=lambda row: row.last_at)
    bypass = last.kind == "bypass"
    more = f", and {count(len(some) - 1, 'more')}" if len(some) > 1 else ""
    calls = sum(row.count for row in some)
    times = f" ({count(calls, 'call')})" if bypass else ""
    which = f"dismiss {last.finding}" if len(some) == 1 else f"findings --agent {last.agent}"
    todo = f"put it under contract or take it away, then `watchkeeper telemetry {which}`"
    return Need(
        need=f"telemetry/{last.kind}/{last.agent}",
        kind="agent",
        subject=last.agent,
        score=weigh(_SCORES[last.kind], mine),
        risk="high" if bypass else "medium",
        text=f"{words(last.kind, last.agent, last.subject)}{more}{times}",
        todo=todo,
        since=min(row.first_at for row in some),
        agent=last.agent,
        mine=mine,
    )


def from_strangers(lately: Sequence[Source], *, mine: bool) -> Need:
    """Somebody sends telemetry that nobody answers for."""
    last = lately[0]
    more = f" and {len(lately) - 1} more"
    requests = sum(one.requests for one in lately)
    return Need(
        need="telemetry/strangers",
        kind="plane",
        subject="telemetry",
        score=weigh(35, mine),
        risk="low",
        text=f"{unknown.words(last.source)}{more if len(lately) > 1 else ''} "
        f"({count(requests, 'request')})",
        todo="enroll what runs there, or stop it; see `watchkeeper telemetry status`",
        since=min(one.first_at for one in lately),
        mine=mine,
    )


def from_export(problem: str, since: int, *, mine: bool) -> Need:
    """The receiver of the plane's spans takes nothing."""
    return Need(
        need="telemetry/export",
        kind="plane",
        subject="export",
        score=weigh(40, mine),
        risk="low",
        text=f"spans are not exported: {problem}",
        todo="see to the receiver; they wait in the ledger, see `watchkeeper telemetry status`",
        since=since,
        mine=mine,
    )


OPERATIONS = (
    Operation(
        "GET",
        "/v1/telemetry",
        "read",
        status,
        "Show what agents' telemetry comes in, and how the plane's own is exported.",
        answers=TelemetryStatus,
        tags=("traces",),
    ),
    Operation(
        "GET",
        "/v1/telemetry/usage",
        "read",
        usage,
        "Show the tokens and costs that agents report, beside what the plane metered.",
        answers=Usage,
        query=("agent",),
        tags=("traces",),
    ),
    Operation(
        "GET",
        "/v1/telemetry/findings",
        "read",
        findings,
        "List what agents report and the plane does not know of, newest first.",
        answers=Page[FindingRow],
        query=("state", "agent", "after", "limit"),
        tags=("traces",),
    ),
    Operation(
        "POST",
        "/v1/telemetry/findings/{finding}/dismiss",
        "lift",
        dismiss_finding,
        "Take a finding off the list, until it is found again.",
        takes=DismissFinding,
        by_team=True,
        answers=FindingRow,
        tags=("traces",),
    ),
)
