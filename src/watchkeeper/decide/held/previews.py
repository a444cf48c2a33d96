"""Reading what a held action would change, so that approvers see it measured, not claimed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from watchkeeper.approvals import service as approvals
from watchkeeper.core.errors import Unavailable, WatchkeeperError
from watchkeeper.core.text import make_safe
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.contents import kept_words, without_secrets
from watchkeeper.decide.gates.contract import check_arguments
from watchkeeper.decide.gates.kill import covered_run
from watchkeeper.decide.service import Decider
from watchkeeper.kill.model import LockInForce
from watchkeeper.kill.rules import DID, covering
from watchkeeper.registry.documents import Preview, ToolContract
from watchkeeper.tools.pins.model import Distrusted
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
        """Read what the action would change and reach, and attach it, marked as measured.

        Where that can't be read, the contract's words and the agent's claim stand.
        """
        store = self._decider.store
        asked = await store.read(lambda tx: approvals.asked(tx, request))
        governed = self._decider.catalogue.now.tools.get(asked.tool)
        if governed is None:
            return
        contract = governed.contract
        before = await self._read(request, contract.preview, asked.arguments)
        if contract.preview is not None and before is not None:
            changes = compare(contract.preview, before, asked.arguments)
            await store.write(lambda tx: approvals.attach_preview(tx, request, changes))
        reach = await self._read(request, contract.blast_preview, asked.arguments)
        if contract.blast_preview is not None and reach is not None:
            words = f"{contract.blast_radius} {measure_reach(contract.blast_preview, reach)}"
            told = kept_words(words, self._decider.catalogue.now.redaction_of(asked.agent))
            await store.write(lambda tx: approvals.attach_blast_radius(tx, request, words, told))

    async def _read(
        self, request: str, preview: Preview | None, arguments: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        if preview is None:
            return None
        given = {
            name: arguments[source]
            for name, source in preview.arguments.items()
            if source in arguments
        }
        try:
            self._decider.check_switch()
            reader = find_reader(self._decider.catalogue.now, self._decider.locks, preview, given)
            return await self._call_tool(reader, given)
        except WatchkeeperError as error:
            log.warning("no preview of %s: %s", request, make_safe(error, limit=300))
            return None


def find_reader(
    catalogue: Catalogue,
    locks: Sequence[LockInForce],
    preview: Preview,
    arguments: Mapping[str, Any],
) -> ToolContract:
    """Return the tool that a preview reads with.

    The plane calls it as an agent might: raises `Unavailable` unless it is a read-only tool
    that no lock covers, whose definition is trusted, and whose contract the arguments fit.
    """
    reader = catalogue.tools.get(preview.tool)
    if reader is None or reader.contract.access != "read":
        raise Unavailable(f"{preview.tool} is no tool that only reads")
    touched = covered_run(catalogue, "", "", None, None, tool=reader.contract.name)
    lock = covering(locks, touched)
    if lock is not None:
        raise Unavailable(f"{preview.tool} is {DID[lock.mode]}", rule=f"lock/{lock.lock}")
    trusted = catalogue.trust(reader.contract)
    if isinstance(trusted, Distrusted):
        raise Unavailable(trusted.reason, rule=f"tool/{preview.tool}/{trusted.rule}")
    refused = check_arguments(catalogue, reader, arguments)
    if refused is not None:
        raise Unavailable(refused.reason, rule=refused.rule)
    return reader.contract


def measure_reach(preview: Preview, found: Mapping[str, Any]) -> str:
    """Say what a read-only call found of the reach of an action."""
    named = [change.field for change in preview.changes] or [
        name for name, value in found.items() if isinstance(value, str | int | float | bool)
    ]
    said = ", ".join(f"{name} {_shown(found.get(name))}" for name in named[:8])
    return str(make_safe(f"Measured with {preview.tool}: {said or 'nothing'}.", limit=1000))


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
