"""The ledger: pages of entries, and the live feed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
from starlette.responses import Response, StreamingResponse

from watchkeeper.api.callers import find_person
from watchkeeper.api.table import Call, Operation
from watchkeeper.api.words import say
from watchkeeper.core.digest import parse
from watchkeeper.core.errors import Invalid, WatchkeeperError
from watchkeeper.ledger.reading import LARGEST_WINDOW, read_events
from watchkeeper.store.journal import Event
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
_ABOUT_PEOPLE = ("person.", "operator_role.", "issuer.")
"""Types of events after which it is looked again who may follow the feed."""
MOST_WINDOWS = 5
"""How much of the ledger one filtered page looks through, in windows of 1000."""
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
    about = {name: call.text(name) for name in ("agent", "run", "request", "type")}
    needle = (call.text("filter") or "").casefold()

    def query(tx: Transaction) -> tuple[list[EventRow], int | None]:
        shown: list[EventRow] = []
        low, high, following = after, before, None
        for _ in range(MOST_WINDOWS if needle else 1):
            window = read_events(
                tx,
                after=low,
                before=high,
                limit=LARGEST_WINDOW if needle else limit + 1,
                newest_first=after is None,
                **about,
            )
            for event in window:
                row = event_row(event)
                if needle and not _matches(row, needle):
                    continue
                if len(shown) == limit:
                    return shown, shown[-1].sequence
                shown.append(row)
            if len(window) < LARGEST_WINDOW or not needle:
                return shown, None
            following = window[-1].sequence
            low, high = (low, following) if after is None else (following, high)
        return shown, following

    # a rare type may be looked for through the whole ledger
    read = call.rooms.store.scan if needle or about["type"] else call.rooms.store.read
    head = call.rooms.store.head  # first: what comes meanwhile is followed from here
    rows, following = await read(query)
    return Page[EventRow](
        rows=tuple(rows),
        next=None if following is None else str(following),
        sequence=head,
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
        yield _resync(position)
    else:
        yield b": watching\n\n"
    subscription = store.subscribe(position)
    onlookers, feed = call.rooms.onlookers, object()
    onlookers.sent(feed, call.actor, position)
    ending: asyncio.Future[Any] = asyncio.ensure_future(call.rooms.ending.wait())
    pending: asyncio.Future[Any] = asyncio.ensure_future(anext(subscription, []))
    try:
        while True:
            await asyncio.wait(
                (pending, ending), timeout=HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if ending.done():
                return
            if not pending.done():
                if not await _still_reads(call):
                    return
                yield b": still here\n\n"
                continue
            batch = pending.result()
            if not batch:
                return
            if any(event.type.startswith(_ABOUT_PEOPLE) for event in batch) and (
                not await _still_reads(call)
            ):
                return
            if store.head - batch[0].sequence > FURTHEST_BEHIND:
                subscription = store.subscribe(store.head)
                yield _resync(subscription.position)
                batch = []
            pending = asyncio.ensure_future(anext(subscription, []))
            for start in range(0, len(batch), MOST_AT_ONCE):
                part = batch[start : start + MOST_AT_ONCE]
                yield _chunk(part)
                onlookers.sent(feed, call.actor, part[-1].sequence)
            await asyncio.sleep(GATHER_SECONDS)
    finally:
        onlookers.left(feed)
        pending.cancel()
        ending.cancel()


async def _still_reads(call: Call) -> bool:
    """Tell whether who follows the feed may still: a revoked token ends it at once."""
    rooms = call.rooms
    try:
        person = await find_person(rooms.store, rooms.view.now, call.request.scope, call.bearer)
    except WatchkeeperError:
        return False
    return person.may("read")


def _resync(position: int) -> bytes:
    return b"event: resync\nid: %d\ndata: {}\n\n" % position


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
        "read",
        list_events,
        "List ledger entries, newest first; after a sequence, oldest first.",
        answers=Page[EventRow],
        query=("after", "before", "type", "agent", "run", "request", "filter", "limit"),
        tags=("ledger",),
    ),
    Operation(
        "GET",
        "/v1/events/stream",
        "read",
        stream_events,
        "Follow the ledger live (server-sent events); resume with Last-Event-ID.",
        query=("after",),
        tags=("ledger",),
    ),
)
