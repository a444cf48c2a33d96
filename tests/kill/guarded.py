"""A world with one of everything that a lock can be on, and locks on it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, get_args

from sqlalchemy import text

from tests.decide.still import catalogue
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.decide.catalogue import Catalogue, CatalogueView, build_catalogue
from watchkeeper.decide.kill.stop import KillSwitch
from watchkeeper.decide.policies.applying import Applying
from watchkeeper.decide.runs.envelope import Envelopes, Under
from watchkeeper.decide.service import Decider
from watchkeeper.identity.enrolment import enrol, redeem_enrolment
from watchkeeper.identity.model import IssuedRun, NewRun
from watchkeeper.kill.model import LockInForce, LockTarget, NewLock
from watchkeeper.plane.timers import StoredTimers
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import Answer, Ask
from watchkeeper.wire.locks import Mode, TargetKind

WORLD = """
agent:
  name: clerk
  owner: finance-ops
  model_routing: {default: small-fast, allowed: [two-places, led]}
  tools:
    allowlist:
      - {name: books.read}
      - {name: books.pay, requires_approval: true}
  identity: {mode: own, token_ttl_seconds: 900, delegation_depth: 3, delegates_to: [scribe]}
---
agent:
  name: scribe
  owner: records
  model_routing: {default: small-fast}
  tools: {allowlist: [{name: books.read}]}
  identity: {mode: own, token_ttl_seconds: 900, delegation_depth: 3, delegates_to: [scribe]}
---
tool: {name: books.read, upstream: books, upstream_tool: read, does: Reads, access: read, risk: low}
---
tool: {name: books.pay, upstream: books, upstream_tool: pay, does: Pays, access: write, risk: low}
---
upstream: {name: books, transport: http, url: "http://127.0.0.1:9/mcp"}
---
provider:
  name: near
  base_url: http://127.0.0.1:9/v1
  models: [{name: small-1, input_usd_per_million: 1, output_usd_per_million: 2}]
---
provider:
  name: far
  base_url: http://127.0.0.1:8/v1
  models: [{name: small-1, input_usd_per_million: 1, output_usd_per_million: 2}]
---
model: {name: small-fast, provider: near, provider_model: small-1}
---
model:
  name: two-places
  targets: [{provider: near, model: small-1}, {provider: far, model: small-1}]
---
model:
  name: led
  provider: far
  provider_model: small-1
  canary: {model: small-fast, versions: ["clerk@1"]}
---
runtime:
  name: graphs
  kind: langgraph
  url: http://127.0.0.1:7
  agents: [{id: clerk-graph, agent: clerk}]
---
role: {name: finance-ops, members: [ada, bob]}
---
role: {name: owner-too, members: [owner]}
---
person: {name: ada, aliases: [ada.l], operates: [{role: admin}]}
---
person: {name: bob, operates: [{role: admin}]}
"""
POLICY = """
@id("all") permit (principal, action, resource);
"""
MODES: tuple[Mode, ...] = get_args(Mode)
KINDS: tuple[TargetKind, ...] = get_args(TargetKind)
LOCK = "lock_1"


@cache
def governed() -> Catalogue:
    """Compile the world, once: nothing changes it."""
    return catalogue(WORLD, POLICY)


def lock_on(kind: TargetKind, name: str, mode: Mode = "stop", *, epoch: int = 1) -> LockInForce:
    """A lock in force."""
    return LockInForce(f"lock_{epoch}", LockTarget(kind, name), mode, "drill", "ada", epoch, 1)


class TurningClock(RehearsalClock):
    """A clock that somebody may also put back, as a wall clock is."""

    def __init__(self) -> None:
        super().__init__(frozen=True)
        self.back = 0

    def now(self) -> int:
        """Return the time as this clock has it now."""
        return super().now() - self.back


@dataclass
class Guarded:
    """A plane's deciding parts over a store, with the world in force and its agents enrolled."""

    store: Store
    decider: Decider
    kill: KillSwitch
    envelopes: Envelopes
    applying: Applying
    credentials: dict[str, str] = field(default_factory=dict)

    @classmethod
    async def open(cls, store: Store) -> Guarded:
        """Put the world in force, or load what a store has."""
        view = CatalogueView(build_catalogue({}))
        decider = Decider(store, view)
        made = cls(store, decider, KillSwitch(decider), Envelopes(decider), Applying(store, view))
        await made.applying.load()
        if not view.now.agents:
            files = [("w.yaml", WORLD), ("p.cedar", POLICY)]
            await made.applying.apply(files, prune=False, actor="person/owner")
        await made.kill.view.load()
        return made

    async def credential(self, agent: str) -> str:
        """Return the credential of an agent, enrolled when it is first asked for."""
        if agent not in self.credentials:
            secret = await self.store.write(lambda tx: enrol(tx, agent, ttl_seconds=60, actor="a"))
            found = await self.store.write(lambda tx: redeem_enrolment(tx, secret.secret))
            self.credentials[agent] = found.secret
        return self.credentials[agent]

    async def open_run(
        self, agent: str = "clerk", *, behalf: str | None = None, under: str | None = None
    ) -> IssuedRun:
        """Open a run, on somebody's behalf or under the run of a token."""
        credential = await self.credential(agent)
        parent = Under(under) if under is not None else None
        _, issued = await self.envelopes.open(credential, NewRun("work", behalf), parent)
        return issued

    async def lock(
        self, kind: TargetKind, name: str, mode: Mode = "stop", *, seconds: int | None = None
    ) -> str:
        """Put a lock in force; return it."""
        target = LockTarget(kind, name)
        made, _ = await self.kill.lock(
            NewLock(target, mode=mode, reason="drill", by="person/bob", seconds=seconds)
        )
        return made.lock

    async def ask(self, token: str, tool: str = "books.read", **arguments: Any) -> Answer:
        """Ask for a call of a tool that the agent performs itself."""
        return await self.decider.decide(token, Ask(name=tool, arguments=arguments))

    async def sweep(self) -> None:
        """Run every timer that is due."""
        timers = StoredTimers(self.store, {**_ELSEWHERE, **self.kill.handlers})
        while await timers.run_due(50):
            pass

    async def rows(self, query: str) -> list[Any]:
        """Read rows with plain SQL."""
        return await self.store.read(
            lambda tx: [tuple(row) for row in tx.connection.execute(text(query))]
        )

    async def permitted_under_a_lock(self) -> list[str]:
        """Return what the ledger says was permitted while a lock covered it, by sequence.

        Read from the events alone, and with rules of its own: what was permitted after a lock's
        event and before the end of that lock must not have been its target's.
        """
        runs = {run: rest for run, *rest in await self.rows(_RUNS)}
        locks: dict[str, tuple[str, str, str]] = {}
        found, newest = [], 0
        for sequence, type_, subject, run, request, body in await self.rows(_EVENTS):
            said = json.loads(body)
            if type_ == "lock.created":
                kind, _, name = said["target"].partition("/")
                locks[subject] = (kind, name, said["mode"])
                newest = said["epoch"]
            elif type_ == "lock.lifted":
                locks.pop(subject, None)
            else:
                for kind, name, mode in locks.values():
                    goes_on = mode == "deny-new" and kind in RUN_OWNERS
                    if not goes_on and is_of(kind, name, run, runs, said, request):
                        found.append(f"{sequence}: {said['name']} in {run} under {kind}/{name}")
                # a decision knows every lock that came before it
                if said["epoch"] != newest:
                    found.append(f"{sequence}: decided at epoch {said['epoch']}, not {newest}")
        return found


def _leave(tx: Transaction, ref: str, due_at: int) -> None:
    tx.silent("it is of no concern here")


_ELSEWHERE = {"health.run": _leave, "identity.child": _leave}
_RUNS = "select run, agent, version, on_behalf_of, parent from runs"
_EVENTS = (
    "select sequence, type, subject, run, request, body from events where type in "
    "('lock.created', 'lock.lifted', 'decision.permitted') order by sequence"
)
RUN_OWNERS = ("run", "agent", "version", "team", "person", "runtime", "everything")
TEAMS = {"clerk": "finance-ops", "scribe": "records"}
RUNS_IN = {"clerk": "graphs"}
UPSTREAM = {"books.read": "books", "books.pay": "books"}
NAMES = {"ada.l": "ada"}


def is_of(
    kind: str,
    name: str,
    run: str,
    runs: Mapping[str, Sequence[Any]],
    said: Mapping[str, Any],
    request: str | None = None,
) -> bool:
    """Tell whether a call (`said`) in a run is covered, by rules that are not the plane's."""
    if kind == "everything":
        return True
    if kind == "tool":
        return bool(said["name"] == name)
    if kind == "upstream":
        return UPSTREAM.get(said["name"]) == name
    if kind == "approval":
        return request == name
    line: str | None = run
    while line is not None:
        agent, version, behalf, parent = runs[line]
        known = {
            "run": line,
            "agent": agent,
            "version": f"{agent}@{version}",
            "team": TEAMS[agent],
            "person": NAMES.get(behalf, behalf),
            "runtime": RUNS_IN.get(agent),
        }
        if known.get(kind) == name:
            return True
        line = parent
    return False
