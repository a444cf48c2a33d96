"""The typed client's part on reports."""

from __future__ import annotations

from collections.abc import AsyncIterator

from watchkeeper.client.calls import Calls
from watchkeeper.client.problems import error_of
from watchkeeper.wire.audit import Progress
from watchkeeper.wire.reports import ReportForm, ReportKind

SILENCE_SECONDS = 3600.0
"""How long a plane may look through its ledger before anything comes."""


class ReportCalls(Calls):
    """What a period came to, for people."""

    async def report(
        self,
        kind: ReportKind,
        *,
        since: int,
        until: int,
        form: ReportForm = "json",
        data: str | None = None,
        rows: int | None = None,
    ) -> AsyncIterator[bytes]:
        """Return a report as it is written to a file, in parts; JSON is `wire.reports.Report`.

        Times in microseconds; the period ends before `until`.
        """
        asked = {"since": since, "until": until, "format": form, "data": data, "rows": rows}
        async with self.transport.stream(
            f"/v1/reports/{kind}",
            params={name: str(value) for name, value in asked.items() if value is not None},
            silence_seconds=SILENCE_SECONDS,
        ) as (reply, parts):
            if reply.status >= 400:
                raise error_of(reply)
            async for part in parts:
                yield part

    async def report_progress(self) -> Progress:
        """Read how far the caller's newest report is."""
        return await self._get(Progress, "/v1/reports/progress")
