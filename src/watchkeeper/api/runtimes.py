"""Runtimes where agents' work runs: how they do, what runs there, and what to do about it."""

from __future__ import annotations

from typing import get_args

from watchkeeper.api.runtime_needs import from_rogue, from_rogues_beyond, from_runtime
from watchkeeper.api.table import Call, Operation
from watchkeeper.core.errors import NotFound
from watchkeeper.decide.contents import without_secrets
from watchkeeper.runtimes import reading
from watchkeeper.runtimes.model import Stopping
from watchkeeper.runtimes.stopping import Told
from watchkeeper.store.statement import Row
from watchkeeper.wire.pages import Page
from watchkeeper.wire.plane import Need
from watchkeeper.wire.runtimes import (
    Adopt,
    RemoteRunRow,
    RemoteStop,
    RuntimeRow,
    Standing,
    StopRemote,
    TellRemote,
)

_MOST_NEEDS = 20


async def list_runtimes(call: Call) -> Page[RuntimeRow]:
    """List the runtimes in force by name."""
    head = call.rooms.store.head
    rows = [row for row in await call.rooms.runtimes.rows() if _sees(call, row)]
    return Page[RuntimeRow](rows=tuple(rows), total=len(rows), sequence=head)


async def read_runtime(call: Call) -> RuntimeRow:
    """Show one runtime."""
    row = await call.rooms.runtimes.row(call.path("name"))
    if not _sees(call, row):
        raise NotFound(f"there is no runtime {row.runtime!r:.80} of your teams")
    return row


async def list_runs(call: Call) -> Page[RemoteRunRow]:
    """List the runs of a runtime by id: those that have not ended, or all of the last day."""
    head, limit = call.rooms.store.head, call.limit()
    standing: Standing | None = call.option("standing", get_args(Standing))
    rows, total = await call.rooms.runtimes.runs(
        call.path("name"),
        agents=call.agents_seen(),
        standing=standing,
        live=call.one_of("state", ("live", "all")) == "live",
        after=call.text("after"),
        limit=limit,
    )
    next_ = rows[-1].id if len(rows) == limit else None
    return Page[RemoteRunRow](rows=tuple(rows), next=next_, total=total, sequence=head)


async def adopt(call: Call) -> RemoteRunRow:
    """Take a rogue run over as an agent's."""
    body: Adopt = call.body
    call.check_agent("lift", body.agent)
    row = await _find(call, "lift")
    return await call.rooms.runtimes.adopt(
        row.runtime, row.id, agent=body.agent, by=call.actor, reason=without_secrets(body.reason)
    )


async def stop(call: Call) -> RemoteStop:
    """Stop a run in its runtime; that it could not be is an answer, not an error."""
    body: StopRemote = call.body
    return await _tell(call, "lock", "stop", without_secrets(body.reason), now=body.now)


async def pause(call: Call) -> RemoteStop:
    """Hold a run where it is."""
    body: TellRemote = call.body
    return await _tell(call, "lock", "pause", without_secrets(body.reason))


async def resume(call: Call) -> RemoteStop:
    """Let a paused run go on; not while a lock covers it."""
    body: TellRemote = call.body
    return await _tell(call, "lift", "resume", without_secrets(body.reason))


async def start(call: Call) -> RuntimeRow:
    """Start a supervised process that was stopped; not while a lock covers its agent."""
    body: TellRemote = call.body
    row = await call.rooms.runtimes.row(call.path("name"))
    for one in row.agents:
        if one.agent is not None:
            call.check_agent("lift", one.agent)
    return await call.rooms.runtimes.start(
        row.runtime, by=call.actor, reason=without_secrets(body.reason)
    )


async def _tell(
    call: Call, needed: str, what: Told, reason: str, *, now: bool = True
) -> RemoteStop:
    row = await _find(call, needed)
    came: Stopping = await call.rooms.runtimes.tell(
        row.runtime, row.id, what, now=now, by=call.actor, reason=reason
    )
    return RemoteStop(result=came.result, detail=came.detail, state=came.state)


async def _find(call: Call, needed: str) -> Row:
    """Return the run that a route is about, if the caller may do this to its agent."""
    row = await call.rooms.runtimes.find(call.path("name"), call.path("id"))
    call.check_team(needed, call.rooms.view.now.team_of(row.agent) if row.agent else "")  # type: ignore[arg-type]
    return row


def _sees(call: Call, row: RuntimeRow) -> bool:
    """Tell whether a runtime runs something of the caller's teams."""
    seen = call.agents_seen()
    return seen is None or any(one.agent in seen for one in row.agents)


async def needs_of_runtimes(call: Call) -> list[Need]:
    """Return what needs a person in runtimes: rogue runs, and runtimes that do not answer."""
    rooms = call.rooms
    documents = rooms.view.now.runtimes
    if not documents:
        return []
    now, mine = rooms.clock.now(), call.who.may("lock")
    rows = [row for row in await rooms.runtimes.rows() if _sees(call, row)]
    found = [need for row in rows if (need := from_runtime(row, now, mine=mine)) is not None]
    names = frozenset(row.runtime for row in rows if row.rogue)
    if names:
        agents = call.agents_seen()
        rogue, total = await rooms.store.read(
            lambda tx: reading.rogue_rows(tx, names, agents, _MOST_NEEDS)
        )
        found += [from_rogue(row, mine=mine) for row in rogue]
        beyond = total - len(rogue)
        if beyond > 0:
            found.append(from_rogues_beyond(sorted(names), beyond, now, mine=mine))
    return found


_RUN = "/v1/runtimes/{name}/runs/{id:path}"

OPERATIONS = (
    Operation(
        "GET",
        "/v1/runtimes",
        "read",
        list_runtimes,
        "List the runtimes where agents' work runs, and how they do.",
        answers=Page[RuntimeRow],
        tags=("runtimes",),
    ),
    Operation(
        "GET",
        "/v1/runtimes/{name}",
        "read",
        read_runtime,
        "Show one runtime: its health, its agents, and what it can be told to do.",
        answers=RuntimeRow,
        tags=("runtimes",),
    ),
    Operation(
        "GET",
        "/v1/runtimes/{name}/runs",
        "read",
        list_runs,
        "List what runs in a runtime; live, or all of the last day; of one standing.",
        answers=Page[RemoteRunRow],
        query=("standing", "state", "after", "limit"),
        tags=("runtimes",),
    ),
    Operation(
        "POST",
        "/v1/runtimes/{name}/start",
        "lift",
        start,
        "Start a supervised process that was stopped for good.",
        answers=RuntimeRow,
        takes=TellRemote,
        tags=("runtimes",),
        by_team=True,
    ),
    Operation(
        "POST",
        f"{_RUN}/adopt",
        "lift",
        adopt,
        "Take a rogue run over: a run of an agent's is opened that covers it.",
        answers=RemoteRunRow,
        takes=Adopt,
        tags=("runtimes",),
        by_team=True,
    ),
    Operation(
        "POST",
        f"{_RUN}/stop",
        "lock",
        stop,
        "Stop a run in its runtime, and say what is so afterwards.",
        answers=RemoteStop,
        takes=StopRemote,
        tags=("runtimes",),
        by_team=True,
    ),
    Operation(
        "POST",
        f"{_RUN}/pause",
        "lock",
        pause,
        "Hold a run where it is.",
        answers=RemoteStop,
        takes=TellRemote,
        tags=("runtimes",),
        by_team=True,
    ),
    Operation(
        "POST",
        f"{_RUN}/resume",
        "lift",
        resume,
        "Let a paused run go on.",
        answers=RemoteStop,
        takes=TellRemote,
        tags=("runtimes",),
        by_team=True,
    ),
)
