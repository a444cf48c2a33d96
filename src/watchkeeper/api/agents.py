"""The fleet: what every agent is doing."""

from __future__ import annotations

from watchkeeper.api.table import Call, Operation
from watchkeeper.core.errors import NotFound
from watchkeeper.decide.runs.fleet import list_agents, read_agent
from watchkeeper.identity.principals import spiffe_id
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.agents import AgentDetail, AgentRow
from watchkeeper.wire.pages import Page


async def fleet(call: Call) -> Page[AgentRow]:
    """List agents by name."""
    after, limit, needle = call.text("after"), call.limit(), call.text("filter") or ""
    catalogue = call.rooms.view.now.seen_in(call.who.permissions.teams("read"))
    head = call.rooms.store.head

    def query(tx: Transaction) -> tuple[list[AgentRow], str | None, int]:
        return list_agents(tx, catalogue, after=after, limit=limit, filter_text=needle)

    rows, following, total = await call.rooms.store.read(query)
    return Page[AgentRow](rows=tuple(rows), next=following, total=total, sequence=head)


async def agent(call: Call) -> AgentDetail:
    """Show one agent with its contract, envelope and budgets."""
    name, catalogue = call.path("agent"), call.rooms.view.now
    if name in catalogue.agents:
        call.check_agent("read", name)
    found = await call.rooms.store.read(lambda tx: read_agent(tx, catalogue, name))
    if found is None:
        raise NotFound(f"there is no agent {name!r:.80}", remedy="see `watchkeeper agents`")
    shown = spiffe_id(call.rooms.tokens.proofs.trust_domain, "agent", name)
    return found.model_copy(update={"spiffe_id": shown})


OPERATIONS = (
    Operation(
        "GET",
        "/v1/agents",
        "read",
        fleet,
        "List agents by name: what each is doing, in words and figures.",
        answers=Page[AgentRow],
        query=("after", "limit", "filter"),
        tags=("agents",),
    ),
    Operation(
        "GET",
        "/v1/agents/{agent}",
        "read",
        agent,
        "Show an agent with its contract, permission envelope and budgets.",
        answers=AgentDetail,
        tags=("agents",),
    ),
)
