"""Reading what a held action would change, so that approvers see it measured, not claimed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from watchkeeper.approvals import service as approvals
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.core.text import make_safe
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.contents import without_secrets
from watchkeeper.decide.service import Decider
from watchkeeper.registry.documents import Preview, ToolContract
from watchkeeper.wire.requests import Change

log = logging.getLogger(__name__)

CallTool = Callable[[ToolContract, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""Calls a read-only tool with the plane's credential and returns its structured result."""

LONGEST_VALUE = 400


class Previews:
    """Shows approvers what would change, as the plane reads it, beside what the agent says."""

    def __init__(self, decider: Decider, call_tool: CallTool) -> None:
        self._decider = decider
        self._call_tool = call_tool
        self._running: set[asyncio.Task[None]] = set()

    def begin(self, request: str) -> None:
        """Read what a new request would change, in the background."""
        task = asyncio.create_task(self._preview(request), name=f"preview {request}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def stop(self) -> None:
        """Let go of previews that are still being read; their requests stand without one."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _preview(self, request: str) -> None:
        """Read what the action would change and attach it, marked as measured.

        Where that can't be read, the arguments stand as the agent's claim.
        """
        store = self._decider.store
        asked = await store.read(lambda tx: approvals.asked(tx, request))
        catalogue = self._decider.catalogue.now
        preview, reader = find_preview(catalogue, asked.tool)
        if preview is None or reader is None:
            return
        arguments = {
            name: asked.arguments[source]
            for name, source in preview.arguments.items()
            if source in asked.arguments
        }
        try:
            before = await self._call_tool(reader, arguments)
        except WatchkeeperError as error:
            log.warning("no preview of %s: %s", request, make_safe(error, limit=300))
            return
        changes = compare(preview, before, asked.arguments)
        await store.write(lambda tx: approvals.attach_preview(tx, request, changes))


def find_preview(catalogue: Catalogue, tool: str) -> tuple[Preview | None, ToolContract | None]:
    """Return a tool's preview and the read-only tool that makes it, if both are in force."""
    governed = catalogue.tools.get(tool)
    preview = governed.contract.preview if governed else None
    reader = catalogue.tools.get(preview.tool) if preview else None
    if reader is None or reader.contract.access != "read":
        return None, None
    return preview, reader.contract


def compare(
    preview: Preview, before: Mapping[str, Any], arguments: Mapping[str, Any]
) -> tuple[Change, ...]:
    """Return the lines of the diff: what was read against what the arguments would make it."""
    lines = [
        Change(
            field=change.field,
            before=_shown(before.get(change.field)),
            after=_shown(arguments.get(change.after)),
            source="measured",
        )
        for change in preview.changes
    ]
    changed = {change.field for change in preview.changes}
    context = [
        Change(field=name, before=_shown(value), after=_shown(value), source="measured")
        for name, value in before.items()
        if name not in changed and isinstance(value, str | int | float | bool)
    ]
    return (*lines, *context[:8])


def _shown(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else str(value)
    return str(make_safe(without_secrets(text), limit=LONGEST_VALUE))
