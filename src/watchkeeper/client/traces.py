"""The typed client's part on traces."""

from __future__ import annotations

from watchkeeper.client.calls import Calls, path_part
from watchkeeper.client.spending import LONG_SECONDS
from watchkeeper.wire.pages import Page
from watchkeeper.wire.traces import Contents, SpanRow, Trace, TraceCheck


class TraceCalls(Calls):
    """What happened in runs, as spans."""

    async def trace(self, run: str, *, after: str | None = None, limit: int | None = None) -> Trace:
        """Read the spans of a run in causal order."""
        return await self._get(Trace, f"/v1/traces/{path_part(run)}", after=after, limit=limit)

    async def check_calls(self, *, within_seconds: int | None = None) -> TraceCheck:
        """Compare calls admitted with calls recorded, of the last day unless said."""
        return await self._get(
            TraceCheck,
            "/v1/spans/check",
            within_seconds=within_seconds,
            wait_seconds=LONG_SECONDS,
        )

    async def contents(self, decision: str) -> Contents:
        """Read what went into an action and came out of it."""
        return await self._get(Contents, f"/v1/contents/{path_part(decision)}")

    async def spans(
        self,
        *,
        version: int | None = None,
        cost_at_least: int | None = None,
        since: int | None = None,
        until: int | None = None,
        within_seconds: int | None = None,
        after: str | None = None,
        limit: int | None = None,
        **named: str | None,
    ) -> Page[SpanRow]:
        """List spans, newest first; `named` as the route `/v1/spans` has it."""
        return await self._get(
            Page[SpanRow],
            "/v1/spans",
            version=version,
            cost_at_least=cost_at_least,
            since=since,
            until=until,
            within_seconds=within_seconds,
            after=after,
            limit=limit,
            wait_seconds=LONG_SECONDS,
            **named,
        )
