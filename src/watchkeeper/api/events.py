"""The ledger: pages of entries, and the live feed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import select
from starlette.responses import Response, StreamingResponse

from watchkeeper.api.table import Call, Operation
from watchkeeper.api.words import say
from watchkeeper.core.digest import parse
from watchkeeper.core.errors import Invalid
from watchkeeper.store.journal import Event, event_from_row, events
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.pages import Page
from watchkeeper.wire.plane import EventRow

MOST_AT_ONCE = 20
"""Events in one chunk of the feed."""
HEARTBEAT_SECONDS = 15.0
FURTHEST_BEHIND = 20_000
"""A reader further behind than this is told to read everything again."""
GATHER_SECONDS = 0.05
"""How long a chunk waits for more events, so that a burst is few writes."""
_SCANNED = 5_000
_encode = msgspec.json.Encoder().encode


def event_row(event: Event) -> EventRow:
    """Return an entry as the API shows it."""
    body = event.body
    return EventRow(
        sequence=event.sequence,
        at=event.at,
        type=event.type,
        actor=event.actor,
        subject=event.subject,
        agent=event.agent,
        run=event.run,
        request=event.request,
        text=say(event.type, event.actor, event.subject, event.agent, body),
        body=body,
        chain_hash=event.chain_hash,
    )


async def list_events(call: Call) -> Page[EventRow]:
    """Answer a page: newest first, or oldest first after a sequence."""
    after, before, limit = call.whole("after"), call.whole("before"), call.limit()
    wanted = {name: call.text(name) for name in ("agent", "run", "request")}
    type_, needle = call.text("type"), (call.text("filter") or "").casefold()

    def query(tx: Transaction) -> list[Event]:
        chosen = select(events)
        for name, value in wanted.items():
            if value is not None:
                chosen = chosen.where(events.c[name] == value)
        if type_ is not None:
            chosen = chosen.where(
                events.c.type.startswith(type_, autoescape=True)
                if type_.endswith(".")
                else events.c.type == type_
            )
        if after is not None:
            chosen = chosen.where(events.c.sequence > after).order_by(events.c.sequence)
        else:
            chosen = chosen.order_by(events.c.sequence.desc())
        if before is not None:
            chosen = chosen.where(events.c.sequence < before)
        rows = tx.connection.execute(chosen.limit(_SCANNED if needle else limit + 1))
        return [event_from_row(row) for row in rows]

    found = await (call.rooms.store.scan if needle else call.rooms.store.read)(query)
    shown = [event_row(event) for event in found[: None if needle else limit + 1]]
    if needle:
        shown = [row for row in shown if _matches(row, needle)]
    more = len(shown) > limit or (bool(needle) and len(found) == _SCANNED)
    rows = tuple(shown[:limit])
    last = rows[-1].sequence if rows else (found[-1].sequence if found else None)
    if len(shown) <= limit and found:
        last = found[-1].sequence
    return Page[EventRow](
        rows=rows,
        next=str(last) if more and last is not None else None,
        sequence=call.rooms.store.head,
    )


def _matches(row: EventRow, needle: str) -> bool:
    return any(
        needle in part.casefold()
        for part in (row.type, row.actor, row.subject, row.text, row.agent or "", row.run or "")
    )


async def stream_events(call: Call) -> Response:
    """Answer the feed as server-sent events, from a sequence on, exactly once and in order."""
    named = call.request.headers.get("last-event-id") or call.text("after")
    if named is None:
        position = call.rooms.store.head
    elif named.isascii() and named.isdigit() and len(named) < 19:
        position = int(named)
    else:
        raise Invalid("not a sequence", where="Last-Event-ID", remedy="send the last id you saw")
    return StreamingResponse(
        _feed(call, position),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def _feed(call: Call, position: int) -> AsyncIterator[bytes]:
    store = call.rooms.store
    if position > store.head or store.head - position > FURTHEST_BEHIND:
        # ahead of us: another ledger than the reader knew; far behind: cheaper to read anew
        position = store.head
        yield f"event: resync\nid: {position}\ndata: {{}}\n\n".encode()
    else:
        yield b": watching\n\n"
    subscription = store.subscribe(position)
    call.rooms.watching += 1
    ending = asyncio.ensure_future(call.rooms.ending.wait())
    pending: asyncio.Future[list[Event]] = asyncio.ensure_future(anext(subscription, []))
    try:
        while True:
            done, _ = await asyncio.wait(
                {pending, ending}, timeout=HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if ending in done:
                return
            if not done:
                yield b": still here\n\n"
                continue
            batch = pending.result()
            if not batch:
                return
            pending = asyncio.ensure_future(anext(subscription, []))
            for start in range(0, len(batch), MOST_AT_ONCE):
                yield _chunk(batch[start : start + MOST_AT_ONCE])
            await asyncio.sleep(GATHER_SECONDS)
    finally:
        call.rooms.watching -= 1
        pending.cancel()
        ending.cancel()


def _chunk(batch: Sequence[Event]) -> bytes:
    rows = [_compact(event) for event in batch]
    return b"id: %d\ndata: %s\n\n" % (batch[-1].sequence, _encode(rows))


def _compact(event: Event) -> dict[str, Any]:
    body = parse(event.body_text)
    return {
        "sequence": event.sequence,
        "at": event.at,
        "type": event.type,
        "actor": event.actor,
        "subject": event.subject,
        "agent": event.agent,
        "run": event.run,
        "request": event.request,
        "text": say(event.type, event.actor, event.subject, event.agent, body),
    }


OPERATIONS = (
    Operation(
        "GET",
        "/v1/events",
        "viewer",
        list_events,
        "List ledger entries, newest first; after a sequence, oldest first.",
        answers=Page[EventRow],
        query=("after", "before", "type", "agent", "run", "request", "filter", "limit"),
        tags=("ledger",),
    ),
    Operation(
        "GET",
        "/v1/events/stream",
        "viewer",
        stream_events,
        "Follow the ledger live (server-sent events); resume with Last-Event-ID.",
        query=("after",),
        tags=("ledger",),
    ),
)
