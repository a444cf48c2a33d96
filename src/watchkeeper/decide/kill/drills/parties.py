"""Each effect of a rehearsed lock with each party; who is outside is asked whether it answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence

from watchkeeper.core.words import count
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.kill.drills.checking import REHEARSED
from watchkeeper.decide.kill.drills.world import World
from watchkeeper.decide.kill.effector import Effectors, name_of
from watchkeeper.kill.model import LockInForce, Receipt
from watchkeeper.wire.drills import DrillEffect, DrillPerson

_MOST_ASKED = 20
"""Parties that are asked at once whether they answer."""
_ROLE = "role/"


async def effects_of(
    effectors: Effectors,
    catalogue: Catalogue,
    lock: LockInForce,
    receipts: Sequence[Receipt],
    world: World,
) -> tuple[DrillEffect, ...]:
    """Return each effect with each party; who is outside is asked whether it answers."""
    limit = asyncio.Semaphore(_MOST_ASKED)

    async def ahead(one: Receipt) -> DrillEffect:
        if one.state != "attempted":
            return _as_effect(one, one.detail.replace(lock.lock, REHEARSED))
        if one.party.startswith(_ROLE):
            return _as_effect(one, _reach(name_of(one.party), world.told))
        async with limit:
            begun = time.perf_counter()
            said = await effectors.rehearse(lock, one.party)
            took = round((time.perf_counter() - begun) * 1000, 3)
        if said is None:
            return _as_effect(one, f"calls in flight now: {world.radius.in_flight}")
        if not said.supported:
            return DrillEffect(
                effect=one.effect, party=one.party, state="not supported", detail=said.detail
            )
        if one.party.startswith("upstream/"):
            return _as_effect(one, said.detail)
        return DrillEffect(
            effect=one.effect,
            party=one.party,
            state="attempted",
            detail=said.detail,
            reachable=said.acknowledged is not None,
            after_ms=took,
        )

    found = [*await asyncio.gather(*(ahead(one) for one in receipts))]
    found += _beside(catalogue, lock, world, {one.party for one in found})
    return tuple(found)


def _as_effect(one: Receipt, detail: str) -> DrillEffect:
    return DrillEffect(effect=one.effect, party=one.party, state=one.state, detail=detail)


def _reach(role: str, told: Iterable[DrillPerson]) -> str:
    mine = [one for one in told if one.role == role]
    people = {one.person for one in mine}
    reached = {one.person for one in mine if one.contact is not None}
    return f"{count(len(people), 'person')} of the role, with a contact in force: {len(reached)}"


def _beside(
    catalogue: Catalogue, lock: LockInForce, world: World, parties: set[str]
) -> Iterator[DrillEffect]:
    """Yield what runs of the covered and is told nothing."""
    for name in world.radius.runtimes:
        if f"runtime/{name}" not in parties:
            yield DrillEffect(
                effect="stop run",
                party=f"runtime/{name}",
                state="not supported",
                detail=f"a {lock.mode} tells runtimes nothing: the gateways refuse what it asks",
            )
    if lock.target.kind in {"upstream", "model", "provider", "approval"}:
        return
    governed = (catalogue.agents.get(name) for name in world.radius.agents)
    tools = {tool for agent in governed if agent is not None for tool in agent.tools}
    used = {catalogue.tools[tool].contract.upstream for tool in tools if tool in catalogue.tools}
    for name in sorted(one for one in used if one):
        document = catalogue.upstreams.get(name)
        if document is not None and document.transport == "stdio":
            yield DrillEffect(
                effect="stop run",
                party=f"upstream/{name}",
                state="not supported",
                detail="a process that others share goes on: a call in flight is cancelled "
                f"there, no more; to end it, lock upstream {name}",
            )
