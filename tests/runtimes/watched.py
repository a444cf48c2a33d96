"""A store whose plane watches one agent server: for what is kept and done of its runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.runtimes.agent_server import AgentServer
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.decide.catalogue import CatalogueView, build_catalogue
from watchkeeper.decide.kill.stop import KillSwitch
from watchkeeper.decide.policies.applying import Applying
from watchkeeper.decide.runs.envelope import Envelopes
from watchkeeper.decide.service import Decider
from watchkeeper.identity.model import IssuedRun, NewRun, Workload
from watchkeeper.kill.model import LockTarget, NewLock
from watchkeeper.ledger.reading import read_events
from watchkeeper.runtimes.polling import Polling
from watchkeeper.runtimes.service import Runtimes
from watchkeeper.store.journal import Event
from watchkeeper.store.store import Store
from watchkeeper.tools.secrets.known import KnownValues
from watchkeeper.tools.secrets.references import References
from watchkeeper.tools.upstreams.credentials import Credentials
from watchkeeper.tools.upstreams.egress import Egress
from watchkeeper.wire.locks import Mode, TargetKind
from watchkeeper.wire.runtimes import RemoteRunRow, RuntimeRow

AGENTS = """
agent:
  name: clerk
  owner: finance-ops
  tools: {allowlist: [{name: stripe.refund, requires_approval: true}, {name: mail.send}]}
  approvals: {role: refund-desk, sla_seconds: 900, max_pending: 3}
---
agent: {name: reader, owner: research}
---
tool: {name: stripe.refund, does: Refunds, risk: high, amount_usd: amount_usd}
---
tool: {name: mail.send, does: Sends mail, risk: low}
---
role: {name: refund-desk, members: [ada]}
---
role: {name: finance-ops, members: [bob]}
"""
RUNTIME = """
runtime:
  name: there
  kind: langgraph
  url: {url}
  owner: finance-ops
  agents: [{{id: refund, agent: clerk}}, {{id: report, agent: reader}}]
  poll_seconds: 10
  timeout_seconds: {timeout}
"""


class Even:
    """Chance that always draws the same."""

    def fraction(self) -> float:
        return 0.5


@dataclass
class Ground:
    """What a plane has of runtimes, without the plane."""

    store: Store
    clock: RehearsalClock
    view: CatalogueView
    decider: Decider
    envelopes: Envelopes
    egress: Egress
    runtimes: Runtimes
    server: AgentServer
    directory: Path
    kill: KillSwitch

    async def apply(self, *texts: str) -> None:
        """Put documents in force beside those that are."""
        files = [(f"{n}.yaml", text) for n, text in enumerate(texts)]
        applying = Applying(self.store, self.view)
        await applying.load()
        await applying.apply(files, prune=False, actor="person/ada")
        self.runtimes.polling.follow()

    async def open(self, agent: str = "clerk", on_behalf_of: str | None = None) -> str:
        """Open a run of ours."""
        workload = Workload(agent, "proof")
        issued: IssuedRun = await self.store.write(
            lambda tx: self.envelopes.open_in(
                tx, workload, NewRun("work", on_behalf_of=on_behalf_of)
            )
        )
        return issued.run

    async def poll(self, *, seconds: float = 0, name: str = "there") -> None:
        """Let time pass, then ask the runtime."""
        self.clock.advance(seconds)
        await self.runtimes.polling.poll(name)

    async def runs(self, *, live: bool = True) -> dict[str, RemoteRunRow]:
        """Return what is known of its runs."""
        rows, _ = await self.runtimes.runs("there", standing=None, live=live, after=None, limit=500)
        return {row.id: row for row in rows}

    async def row(self) -> RuntimeRow:
        """Return how it does."""
        return await self.runtimes.row("there")

    async def events(self, *types: str) -> list[Event]:
        """Return the events of some types."""
        found = await self.store.read(lambda tx: read_events(tx, after=0, limit=500))
        return [event for event in found if event.type in types]

    async def lock(self, kind: TargetKind, name: str, mode: Mode = "stop", why: str = "odd") -> str:
        """Put a lock in force, as a plane's kill switch does."""
        lock, _ = await self.kill.lock(
            NewLock(LockTarget(kind, name), mode=mode, reason=why, by="person/ada")
        )
        return lock.lock

    async def restart(self) -> None:
        """Do as a plane does that begins anew on the same store."""
        await self.runtimes.stop()
        self.runtimes = await _runtimes(
            self.decider, self.view, self.envelopes, self.egress, self.directory
        )
        self.kill.on_change = self.runtimes.follow_locks


@asynccontextmanager
async def watching(
    url: str, *, timeout: float = 5, directory: Path = Path("unused")
) -> AsyncIterator[Ground]:
    """Watch an agent server from a store of its own."""
    clock = RehearsalClock(frozen=True, start=1_795_000_000_000_000)
    store = await Store.open(url, clock)
    view = CatalogueView(build_catalogue({}))
    decider = Decider(store, view)
    envelopes = Envelopes(decider)
    egress = Egress()
    runtimes = await _runtimes(decider, view, envelopes, egress, directory)
    with AgentServer() as server:
        ground = Ground(
            store, clock, view, decider, envelopes, egress, runtimes, server, directory,
            KillSwitch(decider),
        )  # fmt: skip
        ground.kill.on_change = runtimes.follow_locks
        await ground.apply(AGENTS, RUNTIME.format(url=server.url, timeout=timeout))
        try:
            yield ground
        finally:
            server.released.set()
            await ground.kill.stop()
            await ground.runtimes.stop()
            await egress.close()
            await store.close()


async def _runtimes(
    decider: Decider,
    view: CatalogueView,
    envelopes: Envelopes,
    egress: Egress,
    directory: Path,
) -> Runtimes:
    known = KnownValues()
    credentials = Credentials(References(known), None, known)
    polling = Polling(decider.store, view, egress, credentials, directory, chance=Even())
    runtimes = Runtimes(decider, view, envelopes, polling)
    await polling.start()
    return runtimes


def said(event: Event) -> Any:
    """Return an event in words."""
    return event.body["text"]
