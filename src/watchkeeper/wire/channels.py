"""Channels: the ways by which people are told that something waits for them."""

from __future__ import annotations

from watchkeeper.wire.base import Shown


class ChannelRow(Shown):
    """A channel as its document has it; its URL, which holds passwords, is never shown."""

    name: str
    kind: str | None = None
    """The scheme of its URL, such as `ntfy` or `mailtos`; none where it cannot be read."""
    trouble: str | None = None
    """Why nobody can be told by it now, in words."""
    remedy: str | None = None
    people: tuple[str, ...] = ()
    """Who is told by it, as their documents say."""
    escalations: tuple[str, ...] = ()
    """Escalation policies with a level that tells it."""
    most_per_hour: int
    told_hour: int = 0
    """Messages handed over to it in the last hour."""
    told_at: int | None = None
    """When the last message was handed over, in microseconds."""
    allow_private: bool = False


class ChannelTest(Shown):
    """What came of a test message."""

    channel: str
    told: bool
    text: str
    """What happened, in words."""
    milliseconds: int
