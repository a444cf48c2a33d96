"""Tools: contracts and pins, quarantine, drafts."""

from __future__ import annotations

import asyncio

from watchkeeper.api.needs import from_quarantine, from_uncovered
from watchkeeper.api.table import Call, Operation
from watchkeeper.core.errors import NotFound
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.tools.sightings import names_of, wanted_of
from watchkeeper.decide.tools.tooling import (
    describe_quarantined,
    draft_contracts,
    list_quarantine,
    list_tools,
    read_tool,
    waiting_pins,
)
from watchkeeper.store.transaction import Transaction
from watchkeeper.tools.pins.model import Pin
from watchkeeper.wire.pages import Page
from watchkeeper.wire.plane import Need
from watchkeeper.wire.tools import Draft, JudgeDefinition, QuarantineRow, ToolDetail, ToolRow

_MOST_NEEDS = 100


async def tools(call: Call) -> Page[ToolRow]:
    """List tools by name; those that an upstream offers without a contract too."""
    after, limit, needle = call.text("after"), call.limit(), call.text("filter") or ""
    catalogue = call.rooms.view.now.seen_in(call.who.permissions.teams("read"))
    head = call.rooms.store.head

    def query(tx: Transaction) -> tuple[list[ToolRow], str | None, int]:
        return list_tools(tx, catalogue, after=after, limit=limit, text=needle)

    rows, following, total = await call.rooms.store.read(query)
    return Page[ToolRow](rows=tuple(rows), next=following, total=total, sequence=head)


async def tool(call: Call) -> ToolDetail:
    """Show a tool: its contract in words, pinned and observed definition, what was decided."""
    name = call.path("name")
    catalogue = call.rooms.view.now.seen_in(call.who.permissions.teams("read"))
    # what an upstream says may be long, and is compared with what is pinned
    return await call.rooms.store.scan(lambda tx: read_tool(tx, catalogue, name))


async def quarantine(call: Call) -> Page[QuarantineRow]:
    """List definitions that wait for a person: those of tools under contract first."""
    catalogue, head, limit = call.rooms.view.now, call.rooms.store.head, call.limit()
    rows, total = await asyncio.to_thread(list_quarantine, catalogue, limit)
    return Page[QuarantineRow](rows=tuple(rows), total=total, sequence=head)


async def accept(call: Call) -> QuarantineRow:
    """Trust exactly the definition that the digest names."""
    body: JudgeDefinition = call.body
    row = await _waiting(call, body)
    await call.rooms.sightings.accept(
        body.upstream, body.tool, digest=body.digest, person=call.actor, reason=body.reason
    )
    return row


async def reject(call: Call) -> QuarantineRow:
    """Keep a definition refused, and say why; it needs nobody then until it changes."""
    body: JudgeDefinition = call.body
    row = await _waiting(call, body)
    await call.rooms.sightings.reject(
        body.upstream, body.tool, digest=body.digest, person=call.actor, reason=body.reason
    )
    return row.model_copy(update={"rejected_by": call.actor, "rejected_why": body.reason})


async def draft(call: Call) -> Draft:
    """Draft contracts for what an upstream offers without one."""
    catalogue, upstream = call.rooms.view.now, call.path("name")
    return await asyncio.to_thread(draft_contracts, catalogue, upstream)


def needs_of_tools(catalogue: Catalogue, *, mine: bool) -> list[Need | None]:
    """Return what of the quarantine needs a person; what was rejected does not."""
    needs: list[Need | None] = []
    uncovered: dict[str, list[Pin]] = {}
    for pin in waiting_pins(catalogue):
        names = names_of(catalogue, pin.upstream).get(pin.tool, ())
        if pin.is_rejected:
            continue
        if not names and (pin.like is None or len(needs) >= _MOST_NEEDS):
            uncovered.setdefault(pin.upstream, []).append(pin)
        else:
            wanted = wanted_of(catalogue, pin.upstream).get(pin.tool, frozenset())
            other = pin.observed is not None and bool(wanted - {pin.observed.digest})
            needs.append(from_quarantine(pin, names, mine=mine, by_contract=other))
    needs += [from_uncovered(name, pins, mine=mine) for name, pins in uncovered.items()]
    return needs


async def _waiting(call: Call, body: JudgeDefinition) -> QuarantineRow:
    catalogue = call.rooms.view.now
    pin = catalogue.pins.by_tool.get((body.upstream, body.tool))
    if pin is None or pin.quarantine is None:
        raise NotFound(
            "no definition of that tool waits for a person",
            code="not_quarantined",
            remedy="see `watchkeeper tools quarantine`",
        )
    return await asyncio.to_thread(describe_quarantined, catalogue, pin)


OPERATIONS = (
    Operation(
        "GET",
        "/v1/tools",
        "read",
        tools,
        "List tools by name: contracts, pins, and what is offered without a contract.",
        answers=Page[ToolRow],
        query=("after", "limit", "filter"),
        tags=("tools",),
    ),
    Operation(
        "GET",
        "/v1/tools/{name:path}",
        "read",
        tool,
        "Show a tool: its contract in words, its definitions, what was decided of it.",
        answers=ToolDetail,
        tags=("tools",),
    ),
    Operation(
        "GET",
        "/v1/quarantine",
        "read",
        quarantine,
        "List definitions of tools that wait for a person.",
        answers=Page[QuarantineRow],
        query=("limit",),
        tags=("tools",),
    ),
    Operation(
        "POST",
        "/v1/quarantine/accept",
        "tools-accept",
        accept,
        "Trust exactly the definition that the digest names.",
        answers=QuarantineRow,
        takes=JudgeDefinition,
        tags=("tools",),
    ),
    Operation(
        "POST",
        "/v1/quarantine/reject",
        "tools-accept",
        reject,
        "Keep a definition refused.",
        answers=QuarantineRow,
        takes=JudgeDefinition,
        tags=("tools",),
    ),
    Operation(
        "GET",
        "/v1/upstreams/{name}/draft",
        "read",
        draft,
        "Draft contracts for what an upstream offers without one.",
        answers=Draft,
        tags=("tools",),
    ),
)
