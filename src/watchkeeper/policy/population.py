"""The entities that policies speak of: everything in force, as Cedar knows it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import cedarpy

from watchkeeper.policy.facts import KIND_OF, AgentFacts, ResourceFacts
from watchkeeper.policy.schema import SCHEMA, attributes

Uid = tuple[str, str]
"""Type and id of an entity."""


class Population:
    """Agents, what they use, and the namespaces and teams that agents are in."""

    def __init__(self, agents: Iterable[AgentFacts], resources: Iterable[ResourceFacts]) -> None:
        self._above: dict[Uid, frozenset[Uid]] = {}
        entities: list[dict[str, Any]] = []
        for facts in (*agents, *resources):
            uid = (KIND_OF[type(facts)], facts.name)
            parents: tuple[Uid, ...] = ()
            if isinstance(facts, AgentFacts):
                parents = (("Namespace", facts.namespace), ("Team", facts.team))
            self._above[uid] = frozenset((uid, *parents))
            entities.append(_entity(uid, attributes(facts), parents))
        groups = sorted(frozenset().union(*self._above.values()) - set(self._above))
        entities += [_entity(uid, {}, ()) for uid in groups]
        self.entities = cedarpy.Entities.from_json_str(json.dumps(entities), SCHEMA)

    def above(self, uid: Uid) -> frozenset[Uid] | None:
        """Return an entity and what it is in; None for one that is not in force."""
        return self._above.get(uid)


def _entity(uid: Uid, attrs: dict[str, Any], parents: tuple[Uid, ...]) -> dict[str, Any]:
    return {
        "uid": {"type": uid[0], "id": uid[1]},
        "attrs": attrs,
        "parents": [{"type": kind, "id": name} for kind, name in parents],
    }
