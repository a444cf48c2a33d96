"""A world with one of everything that a lock can be on, and locks on it."""

from __future__ import annotations

from typing import get_args

from tests.decide.still import catalogue
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.kill.model import LockInForce, LockTarget
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


def governed() -> Catalogue:
    """Compile the world."""
    return catalogue(WORLD, POLICY)


def lock_on(kind: TargetKind, name: str, mode: Mode = "stop", *, epoch: int = 1) -> LockInForce:
    """A lock in force."""
    return LockInForce(f"lock_{epoch}", LockTarget(kind, name), mode, "drill", "ada", epoch, 1)
