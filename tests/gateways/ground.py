"""The gateways over a real store and decision path, served on 127.0.0.1 in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.gateways.serving import serving
from tests.rig.deadline import eventually_async
from tests.rig.world import POLICY, world
from watchkeeper.approvals.service import cast_vote
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.decide.catalogue import CatalogueView, build_catalogue
from watchkeeper.decide.held.waiting import DECIDED
from watchkeeper.decide.kill.owners import Onlookers, Owners
from watchkeeper.decide.kill.stop import KillSwitch
from watchkeeper.decide.notices.concerned import Notices
from watchkeeper.decide.policies.applying import Applying
from watchkeeper.decide.runs.envelope import Envelopes
from watchkeeper.decide.service import Decider
from watchkeeper.gateways.composition import Gateways, mount
from watchkeeper.identity.enrolment import enrol, redeem_enrolment
from watchkeeper.identity.model import NewRun
from watchkeeper.identity.scope import UNLIMITED, TokenScope
from watchkeeper.kill.model import LockTarget, NewLock
from watchkeeper.store.store import Store
from watchkeeper.wire.requests import Verdict

if TYPE_CHECKING:
    import anthropic
    import mcp
    import openai


@dataclass
class Edge:
    """Running gateways, and the levers a test needs on what is behind them."""

    store: Store
    decider: Decider
    gateways: Gateways
    kill: KillSwitch
    applying: Applying
    http: aiohttp.ClientSession
    url: str = ""
    states: list[tuple[str, str, str]] = field(default_factory=list)

    async def apply(self, *documents: str) -> None:
        """Put YAML documents in force."""
        files = [(f"document-{n}.yaml", text) for n, text in enumerate(documents)]
        await self.applying.apply(files, prune=False, actor="person/owner")
        self.gateways.refresh()

    async def open_run(
        self,
        agent: str = "clerk",
        on_behalf_of: str | None = "customer/ada",
        scope: TokenScope = UNLIMITED,
    ) -> str:
        """Enrol an agent, open a run and return its token."""
        secret = await self.store.write(
            lambda tx: enrol(tx, agent, ttl_seconds=60, actor="person/owner").secret
        )
        credential = await self.store.write(lambda tx: redeem_enrolment(tx, secret).secret)
        wanted = NewRun("one item", on_behalf_of=on_behalf_of, scope=scope)
        _, issued = await Envelopes(self.decider).open(credential, wanted)
        return issued.token

    async def upstream_up(self, name: str = "books", state: str = "up") -> None:
        """Wait until an upstream has this state."""

        async def has_state() -> bool:
            return any(r.name == name and r.state == state for r in self.gateways.upstream_rows())

        await eventually_async(has_state, f"upstream {name} {state}")

    async def events(self, type_: str) -> list[dict[str, Any]]:
        """Return the bodies of every event of a type, oldest first."""
        from sqlalchemy import text

        from watchkeeper.core.digest import parse
        from watchkeeper.store.statement import Statement

        query = Statement(text("select body from events where type = :type order by sequence"))
        rows = await self.store.read(lambda tx: query.all(tx, type=type_))
        return [parse(row[0]) for row in rows]

    async def outcomes(self, count: int = 1) -> list[dict[str, Any]]:
        """Wait until so many outcomes are on record; return all."""

        async def found() -> list[dict[str, Any]] | None:
            recorded = await self.events("outcome.recorded")
            return recorded if len(recorded) >= count else None

        return await eventually_async(found, f"{count} outcomes")

    async def outcome(self) -> dict[str, Any]:
        """Wait for the one outcome on record."""
        (recorded,) = await self.outcomes()
        return recorded

    async def pending(self, count: int = 1) -> list[tuple[str, str]]:
        """Wait for so many pending requests; return their ids and digests, oldest first."""
        from sqlalchemy import text

        from watchkeeper.store.statement import Statement

        query = Statement(
            text("select request, digest from requests where state = 'pending' order by request")
        )

        async def found() -> list[tuple[str, str]] | None:
            rows = await self.store.read(lambda tx: [(r[0], r[1]) for r in query.all(tx)])
            return rows if len(rows) >= count else None

        return await eventually_async(found, "a pending request")

    async def vote(self, verdict: Verdict = "approve", reason: str | None = None) -> str:
        """Decide the oldest pending request and return its id."""
        request, digest = (await self.pending())[0]
        roles = frozenset({"finance-ops", "finance-lead"})
        await self.store.write(
            lambda tx: cast_vote(
                tx,
                request,
                person="grace",
                roles=roles,
                verdict=verdict,
                digest=digest,
                reason=reason,
            )
        )
        return request

    async def stop_agent(self, name: str = "clerk") -> str:
        """Kill an agent and return the lock."""
        lock, _ = await self.kill.lock(
            NewLock(LockTarget("agent", name), mode="stop", reason="drill", by="person/owner")
        )
        return lock.lock

    @asynccontextmanager
    async def mcp(
        self, token: str, mode: Any = "auto", *, client: Any = None, **options: Any
    ) -> AsyncIterator[mcp.Client]:
        """The official MCP client on the gateway."""
        import httpx2
        from mcp import Client
        from mcp.client.streamable_http import streamable_http_client

        headers = {"authorization": f"Bearer {token}"}
        async with httpx2.AsyncClient(headers=headers, timeout=60, trust_env=False) as http:
            transport = streamable_http_client(f"{self.url}/mcp", http_client=http)
            async with Client(transport, mode=mode, read_timeout_seconds=60, **options) as made:
                yield made

    def openai(self, token: str, *, retries: int = 0) -> openai.AsyncOpenAI:
        """The official OpenAI client on the gateway."""
        import openai

        return openai.AsyncOpenAI(
            api_key=token, base_url=f"{self.url}/openai/v1", max_retries=retries, timeout=60
        )

    def anthropic(self, token: str, *, retries: int = 0) -> anthropic.AsyncAnthropic:
        """The official Anthropic client on the gateway."""
        import anthropic

        return anthropic.AsyncAnthropic(
            api_key=token, base_url=f"{self.url}/anthropic", max_retries=retries, timeout=60
        )


@asynccontextmanager
async def open_edge(directory: Path, *documents: str, policy: str = POLICY) -> AsyncIterator[Edge]:
    """Serve the gateways with these documents in force (the rig's world unless given)."""
    clock = RehearsalClock()
    store = await Store.open(f"sqlite:///{directory / 'plane.sqlite3'}", clock)
    view = CatalogueView(build_catalogue({}))
    decider = Decider(store, view)
    applying = Applying(store, view)
    states: list[tuple[str, str, str]] = []
    files = [(f"{n}.yaml", text) for n, text in enumerate(documents or world())]
    await applying.apply([*files, ("policy.cedar", policy)], prune=False, actor="person/owner")
    gateways = mount(decider, view, clock, lambda *state: states.append(state))
    told = Owners(decider, Notices(decider.coverage, "root"), Onlookers())
    kill = KillSwitch(decider, [told, gateways.stops])
    kill.on_change = gateways.follow_locks
    async with aiohttp.ClientSession() as http, _serving(gateways) as url:
        await gateways.start()
        follower = asyncio.create_task(_wake_decided(store, decider))
        edge = Edge(store, decider, gateways, kill, applying, http, url, states)
        try:
            yield edge
        finally:
            decider.waiting.close()
            await gateways.stop()
            follower.cancel()
            await asyncio.gather(follower, return_exceptions=True)
    await store.close()


async def _wake_decided(store: Store, decider: Decider) -> None:
    async for batch in store.subscribe():
        decider.waiting.wake(e.request for e in batch if e.type in DECIDED and e.request)


@asynccontextmanager
async def _serving(gateways: Gateways) -> AsyncIterator[str]:
    async def route(scope: Any, receive: Any, send: Any) -> None:
        for prefix, app in gateways.apps.items():
            if scope["path"].startswith(prefix):
                await app(scope, receive, send)

    async with serving(route) as url:
        yield url


def text_of(result: Any) -> str:
    """Return the text of a tool result."""
    return "".join(part.text for part in result.content if part.type == "text")


def bodies(lines: Sequence[bytes]) -> list[bytes]:
    """Return the data lines of a stream."""
    return [line[6:] for line in lines if line.startswith(b"data: ")]
