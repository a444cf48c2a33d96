"""The typed client's part on channels."""

from __future__ import annotations

from watchkeeper.client.calls import Calls, path_part
from watchkeeper.wire.base import Sent
from watchkeeper.wire.channels import ChannelRow, ChannelTest
from watchkeeper.wire.pages import Page

TEST_SECONDS = 60.0


class ChannelCalls(Calls):
    """How people are told."""

    async def channels(self) -> Page[ChannelRow]:
        """List the channels by which people are told, with what is wrong with each."""
        return await self._get(Page[ChannelRow], "/v1/channels")

    async def test_channel(self, name: str) -> ChannelTest:
        """Send a test message by a channel and say what came of it."""
        path = f"/v1/channels/{path_part(name)}/test"
        return await self._post(ChannelTest, path, Sent(), wait_seconds=TEST_SECONDS)
