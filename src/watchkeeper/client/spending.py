"""The typed client's part on recorded decisions and what they cost."""

from __future__ import annotations

from watchkeeper.client.calls import Calls
from watchkeeper.client.problems import error_of
from watchkeeper.wire.decisions import DecisionRow
from watchkeeper.wire.pages import Page
from watchkeeper.wire.spending import Chargeback, RunCosts, Spending

LONG_SECONDS = 600.0
"""How long the plane may read what was spent in a long time."""


class SpendingCalls(Calls):
    """Decisions, spending, run costs and the chargeback report.

    `agent`, `version` (agent@3), `model`, `provider`, `tool`, `team`, `project`, `person`,
    `object` (KIND/ID) and `run` pick actions of one of each; `-` picks what has none. Times are
    in microseconds.
    """

    async def decisions(
        self,
        *,
        kind: str | None = None,
        name: str | None = None,
        verdict: str | None = None,
        outcome: str | None = None,
        data: str | None = None,
        budget: str | None = None,
        cost_at_least: int | None = None,
        since: int | None = None,
        until: int | None = None,
        within_seconds: int | None = None,
        order: str | None = None,
        after: str | None = None,
        limit: int | None = None,
        **named: str | None,
    ) -> Page[DecisionRow]:
        """List recorded decisions; `order` is newest or dearest.

        `name` is what was called, `data` a class found in or out, `budget` one that paid for
        them, `outcome` also `running`; `cost_at_least` is in micro-dollars.
        """
        return await self._get(
            Page[DecisionRow],
            "/v1/decisions",
            kind=kind,
            name=name,
            verdict=verdict,
            outcome=outcome,
            data=data,
            budget=budget,
            cost_at_least=cost_at_least,
            since=since,
            until=until,
            within_seconds=within_seconds,
            order=order,
            after=after,
            limit=limit,
            wait_seconds=LONG_SECONDS if budget or order == "dearest" else 0,
            **named,
        )

    async def spending(
        self,
        *,
        by: str = "agent",
        since: int | None = None,
        until: int | None = None,
        limit: int | None = None,
        **named: str | None,
    ) -> Spending:
        """Read what was spent by one dimension, beside the time before; a week by default."""
        return await self._get(
            Spending,
            "/v1/spending",
            by=by,
            since=since,
            until=until,
            limit=limit,
            wait_seconds=LONG_SECONDS,
            **named,
        )

    async def chargeback(
        self, period: str, *, zone: str | None = None, by: str | None = None, **named: str | None
    ) -> Chargeback:
        """Read the report of a period such as 2026-11; `by` as in `team,project,model`."""
        return await self._get(
            Chargeback,
            "/v1/chargeback",
            period=period,
            zone=zone,
            by=by,
            wait_seconds=LONG_SECONDS,
            **named,
        )

    async def chargeback_text(
        self,
        period: str,
        format: str,
        *,
        zone: str | None = None,
        by: str | None = None,
        **named: str | None,
    ) -> str:
        """Read the report as it is written to a file: csv, markdown or json."""
        asked = {"period": period, "format": format, "zone": zone, "by": by, **named}
        reply = await self.transport.send(
            "GET",
            "/v1/chargeback",
            params={name: value for name, value in asked.items() if value is not None},
            wait_seconds=LONG_SECONDS,
        )
        if reply.status >= 400:
            raise error_of(reply)
        return reply.body.decode()

    async def run_costs(
        self, *, until: int | None = None, agent: str | None = None, limit: int | None = None
    ) -> RunCosts:
        """Read what runs cost that ended in a week, by version, and how their P95 drifts."""
        return await self._get(
            RunCosts,
            "/v1/run-costs",
            until=until,
            agent=agent,
            limit=limit,
            wait_seconds=LONG_SECONDS,
        )
