"""The typed client's part on questions about what happened."""

from __future__ import annotations

from watchkeeper.client.calls import Calls, path_part
from watchkeeper.client.spending import LONG_SECONDS
from watchkeeper.wire.asking import Comparison, Questions, RestedOn, Saved, Spike, Touched


class AskingCalls(Calls):
    """Questions, and two runs side by side."""

    async def questions(self) -> Questions:
        """List the questions that are known."""
        return await self._get(Questions, "/v1/ask")

    async def ask_spike(
        self,
        *,
        measure: str | None = None,
        by: str | None = None,
        agent: str | None = None,
        since: int | None = None,
        until: int | None = None,
        within_seconds: int | None = None,
    ) -> Spike:
        """Ask which versions made something rise."""
        return await self._get(
            Spike,
            "/v1/ask/spike",
            measure=measure,
            by=by,
            agent=agent,
            since=since,
            until=until,
            within_seconds=within_seconds,
            wait_seconds=LONG_SECONDS,
        )

    async def ask_touched(
        self,
        data: str,
        *,
        since: int | None = None,
        until: int | None = None,
        within_seconds: int | None = None,
    ) -> Touched:
        """Ask which agents touched a class of data."""
        return await self._get(
            Touched,
            "/v1/ask/touched",
            data=data,
            since=since,
            until=until,
            within_seconds=within_seconds,
            wait_seconds=LONG_SECONDS,
        )

    async def ask_rested_on(self, key: str) -> RestedOn:
        """Ask what a run's output, or one step of it, rested on."""
        path = f"/v1/ask/rested-on/{path_part(key)}"
        return await self._get(RestedOn, path, wait_seconds=LONG_SECONDS)

    async def ask_saved(
        self,
        name: str,
        *,
        since: int | None = None,
        until: int | None = None,
        within_seconds: int | None = None,
        limit: int | None = None,
        **filters: str | int | None,
    ) -> Saved:
        """Ask a question that a document asks; `filters` as the route `/v1/spans` has them stand
        in place of the document's.
        """
        return await self._get(
            Saved,
            f"/v1/ask/saved/{path_part(name)}",
            since=since,
            until=until,
            within_seconds=within_seconds,
            limit=limit,
            wait_seconds=LONG_SECONDS,
            **filters,
        )

    async def compare(self, a: str, b: str) -> Comparison:
        """Read two runs side by side."""
        path = f"/v1/traces/{path_part(a)}/compare/{path_part(b)}"
        return await self._get(Comparison, path, wait_seconds=LONG_SECONDS)
