"""Channels: how people are told, what is wrong with each, and a test message."""

from __future__ import annotations

import time

from watchkeeper.api.rooms import Rooms
from watchkeeper.api.table import Call, Operation
from watchkeeper.core.errors import Invalid, WatchkeeperError
from watchkeeper.notices.sending import is_installed, not_installed
from watchkeeper.notices.service import told_lately
from watchkeeper.registry.watch import Channel
from watchkeeper.wire.base import Sent
from watchkeeper.wire.channels import ChannelRow, ChannelTest
from watchkeeper.wire.pages import Page
from watchkeeper.wire.plane import Need

_MOST_NEEDS = 50


async def list_channels(call: Call) -> Page[ChannelRow]:
    """List channels by name; never their URLs."""
    rooms, head = call.rooms, call.rooms.store.head
    lately = await rooms.store.read(told_lately)
    rows = []
    for name, channel in sorted(rooms.view.now.channels.items()):
        kind, trouble = await _kind_of(rooms, channel)
        told, at = lately.get(name, (0, None))
        rows.append(
            ChannelRow(
                name=name,
                kind=kind,
                trouble=trouble.message if trouble else None,
                remedy=trouble.remedy if trouble else None,
                people=tuple(
                    sorted(
                        person.name
                        for person in rooms.view.now.people.values()
                        if any(one.channel == name for one in person.contacts)
                    )
                ),
                escalations=tuple(
                    sorted(
                        one.name
                        for one in rooms.view.now.escalations.values()
                        if any(level.channel == name for level in one.levels)
                    )
                ),
                most_per_hour=channel.most_per_hour,
                told_hour=told,
                told_at=at,
                allow_private=channel.allow_private,
            )
        )
    return Page[ChannelRow](rows=tuple(rows), total=len(rows), sequence=head)


async def test_channel(call: Call) -> ChannelTest:
    """Send a test message by a channel; that it could not be sent is an answer, not an error."""
    name, began = call.path("name"), time.monotonic()
    told, text = True, "the service took the message; look whether it arrived"
    try:
        await call.rooms.telling.test(name, call.actor)
    except WatchkeeperError as error:
        if error.code in ("not_found", "tested_just_now"):
            raise
        told, text = False, "; ".join(filter(None, (error.message, error.remedy)))
    took = round((time.monotonic() - began) * 1000)
    return ChannelTest(channel=name, told=told, text=text, milliseconds=took)


async def needs_of_channels(rooms: Rooms, now: int, *, mine: bool) -> list[Need]:
    """Return what keeps people from being told: channels that cannot, roles that nobody can reach.

    Nothing where no channel is in force: then nobody is to be told.
    """
    catalogue = rooms.view.now
    if not catalogue.channels:
        return []
    if not is_installed():
        error = not_installed()
        return [_need("plane", error.message, error.remedy or "", now, mine=mine)]
    found = []
    for name, channel in sorted(catalogue.channels.items())[:_MOST_NEEDS]:
        if channel.url.startswith("vault:"):
            continue  # a vault is not asked only to find out
        _, trouble = await _kind_of(rooms, channel)
        if isinstance(trouble, Invalid):  # that there is no secret is told of as a credential
            text = f"nobody can be told by channel {name}: {trouble.message}"
            found.append(_need(f"channel/{name}", text, trouble.remedy or "", now, mine=mine))
    roles = await rooms.store.read(lambda tx: rooms.notices.unreachable(tx, catalogue))
    for role in roles[:_MOST_NEEDS]:
        text = f"nobody can be told: role {role} has no contact"
        todo = "give whoever holds it `contacts` in their person document"
        found.append(_need(f"role/{role}", text, todo, now, mine=mine))
    return found


async def _kind_of(rooms: Rooms, channel: Channel) -> tuple[str | None, WatchkeeperError | None]:
    try:
        kind = await rooms.telling.kind_of(channel)
    except WatchkeeperError as error:
        return None, error
    return kind, None if is_installed() else not_installed()


def _need(subject: str, text: str, todo: str, now: int, *, mine: bool) -> Need:
    return Need(
        need=f"notices/{subject}",
        kind="plane",
        subject=subject,
        score=60 if mine else 15,
        risk="medium",
        text=text,
        todo=todo or "see `watchkeeper channels list`",
        since=now,
        mine=mine,
    )


OPERATIONS = (
    Operation(
        "GET",
        "/v1/channels",
        "deliveries",
        list_channels,
        "List the channels by which people are told; never their URLs.",
        answers=Page[ChannelRow],
        tags=("channels",),
    ),
    Operation(
        "POST",
        "/v1/channels/{name}/test",
        "deliveries",
        test_channel,
        "Send a test message by a channel.",
        answers=ChannelTest,
        takes=Sent,
        tags=("channels",),
    ),
)
