"""The typed client's part on budgets."""

from __future__ import annotations

from urllib.parse import quote

from watchkeeper.client.calls import Calls
from watchkeeper.wire.budgets import BalanceCheck, BudgetDetail, BudgetRow, CapChange, TopUp
from watchkeeper.wire.pages import Page


class BudgetCalls(Calls):
    """Caps with what is used and held, and changes to them."""

    async def budgets(
        self,
        *,
        scope: str | None = None,
        filter: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> Page[BudgetRow]:
        """List caps with what is used and held."""
        return await self._get(
            Page[BudgetRow], "/v1/budgets", scope=scope, filter=filter, after=after, limit=limit
        )

    async def budget(self, budget: str) -> BudgetDetail:
        """Read one budget with who draws on it."""
        return await self._get(BudgetDetail, f"/v1/budgets/{quote(budget)}")

    async def check_balances(self) -> BalanceCheck:
        """Add every balance up from its holds."""
        return await self._get(BalanceCheck, "/v1/balances/check")

    async def top_up(self, budget: str, top_up: TopUp) -> BudgetRow:
        """Raise a cap for its current period."""
        return await self._post(BudgetRow, f"/v1/top-ups/{quote(budget)}", top_up)

    async def change_cap(self, budget: str, change: CapChange) -> BudgetRow:
        """Put another cap in place of the documents', until a time or taken back."""
        return await self._post(BudgetRow, f"/v1/caps/{quote(budget)}", change)
