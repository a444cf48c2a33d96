"""The typed client's part on evidence bundles."""

from __future__ import annotations

from collections.abc import AsyncIterator

from watchkeeper.client.calls import Calls
from watchkeeper.client.problems import error_of

SILENCE_SECONDS = 3600.0
"""How long a plane may look through its ledger before anything comes."""


class EvidenceCalls(Calls):
    """What happened and the proof of it, to take away."""

    async def evidence(self, path: str, **query: str) -> AsyncIterator[bytes]:
        """Return the parts of a bundle as they come.

        `path` is `runs/ID`, `requests/ID`, `incidents/ID`, or `period` with `begins` and `ends` in
        microseconds.
        """
        async with self.transport.stream(
            f"/v1/evidence/{path}", params=query, silence_seconds=SILENCE_SECONDS
        ) as (reply, parts):
            if reply.status >= 400:
                raise error_of(reply)
            async for part in parts:
                yield part
