"""Standing approvals: what stands, proposals, the end of one."""

from __future__ import annotations

from watchkeeper.api.table import Call, Operation
from watchkeeper.approvals.standing import reading
from watchkeeper.approvals.standing import service as standing
from watchkeeper.decide.held.standing import propose_standing, subject_of
from watchkeeper.wire.pages import Page
from watchkeeper.wire.standing import EndStanding, ProposeStanding, StandingRow


async def list_standing(call: Call) -> Page[StandingRow]:
    """List standing approvals, newest first."""
    state = call.one_of("state", ("open", "all"))
    agent, tool, after = call.text("agent"), call.text("tool"), call.text("after")
    limit, head, agents = call.limit(), call.rooms.store.head, call.agents_seen()
    return await call.rooms.store.read(
        lambda tx: reading.list_standing(
            tx,
            everything=state == "all",
            agent=agent,
            agents=agents,
            tool=tool,
            after=after,
            limit=limit,
            sequence=head,
        )
    )


async def read_standing(call: Call) -> StandingRow:
    """Show one standing approval."""
    found = await _read(call, call.path("standing"))
    call.check_agent("read", found.agent)
    return found


async def propose(call: Call) -> StandingRow:
    """Ask for a standing approval; a request decides it."""
    body: ProposeStanding = call.body
    agent = await call.rooms.store.read(lambda tx: subject_of(tx, body))
    call.check_agent("decide", agent)
    name = await call.rooms.store.write(
        lambda tx: propose_standing(
            tx, call.rooms.view.now, body, person=call.actor, coverage=call.rooms.decider.coverage
        )
    )
    return await _read(call, name)


async def end(call: Call) -> StandingRow:
    """End a standing approval at once."""
    body: EndStanding = call.body
    name = call.path("standing")
    if call.who.permissions.teams("decide") is not None:
        call.check_agent("decide", (await _read(call, name)).agent)
    await call.rooms.store.write(lambda tx: standing.end(tx, name, by=call.actor, why=body.reason))
    return await _read(call, name)


async def _read(call: Call, name: str) -> StandingRow:
    return await call.rooms.store.read(lambda tx: reading.read_standing(tx, name))


OPERATIONS = (
    Operation(
        "GET",
        "/v1/standing",
        "read",
        list_standing,
        "List standing approvals, newest first; those open, or all.",
        answers=Page[StandingRow],
        query=("state", "agent", "tool", "after", "limit"),
        tags=("approvals",),
    ),
    Operation(
        "GET",
        "/v1/standing/{standing}",
        "read",
        read_standing,
        "Show a standing approval with what is left of it.",
        answers=StandingRow,
        tags=("approvals",),
    ),
    Operation(
        "POST",
        "/v1/standing",
        "decide",
        propose,
        "Propose a standing approval; the same people decide it as one such action.",
        answers=StandingRow,
        takes=ProposeStanding,
        by_team=True,
        tags=("approvals",),
    ),
    Operation(
        "POST",
        "/v1/standing/{standing}/end",
        "decide",
        end,
        "End a standing approval at once, or take its proposal back.",
        answers=StandingRow,
        takes=EndStanding,
        by_team=True,
        tags=("approvals",),
    ),
)
