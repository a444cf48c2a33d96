"""The typed client's part on who is on call."""

from __future__ import annotations

from typing import Any

from watchkeeper.client.calls import Calls, path_part
from watchkeeper.wire.oncall import (
    AddOverride,
    EndOverride,
    OnCall,
    OverrideRow,
    Overrides,
    Shifts,
    Who,
)


class OnCallCalls(Calls):
    """Roles, schedules, shifts and overrides. Times in microseconds."""

    async def oncall(self) -> OnCall:
        """Read who holds each role and who is on call in each schedule, now and next."""
        return await self._get(OnCall, "/v1/oncall")

    async def shifts(
        self, schedule: str, *, start: int | None = None, end: int | None = None
    ) -> Shifts:
        """List the shifts of a schedule; without times, of the next four weeks."""
        path = f"/v1/oncall/{path_part(schedule)}/shifts"
        times: dict[str, Any] = {"from": start, "until": end}  # `from` is Python's own word
        return await self._get(Shifts, path, **times)

    async def who(self, role: str, *, at: int | None = None) -> Who:
        """Read who holds a role, now or at a time."""
        return await self._get(Who, "/v1/oncall/who", role=role, at=at)

    async def overrides(self, *, schedule: str | None = None, state: str = "standing") -> Overrides:
        """List overrides; `state` is standing (now and later) or all."""
        return await self._get(Overrides, "/v1/oncall/overrides", schedule=schedule, state=state)

    async def add_override(self, add: AddOverride) -> OverrideRow:
        """Change who is on call for a time; raises `Conflict` for one that overlaps its like."""
        return await self._post(OverrideRow, "/v1/oncall/overrides", add)

    async def end_override(self, override: str, end: EndOverride) -> OverrideRow:
        """End an override now, or before it begins."""
        path = f"/v1/oncall/overrides/{path_part(override)}/end"
        return await self._post(OverrideRow, path, end)
