"""The entities that policies speak of: everything in force, as Cedar knows it.

A model that several providers serve is one entity, and has at each of them what policies know of
it. It is kept in as many sets of entities; all else is the same in each.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import cedarpy

from watchkeeper.policy.facts import KIND_OF, AgentFacts, ModelFacts, ResourceFacts
from watchkeeper.policy.schema import SCHEMA, attributes

Uid = tuple[str, str]
"""Type and id of an entity."""
View = tuple[str, cedarpy.Entities]
"""The name of a place, and everything in force with a model there."""


class Population:
    """Agents, what they use, and the namespaces and teams that agents are in."""

    def __init__(self, agents: Iterable[AgentFacts], resources: Iterable[ResourceFacts]) -> None:
        self._above: dict[Uid, frozenset[Uid]] = {}
        self._known: dict[Uid, dict[str, Any]] = {}
        self._places: dict[Uid, dict[str, dict[str, Any]]] = {}
        for facts in (*agents, *resources):
            uid = (KIND_OF[type(facts)], facts.name)
            parents: tuple[Uid, ...] = ()
            if isinstance(facts, AgentFacts):
                parents = (("Namespace", facts.namespace), ("Team", facts.team))
            entity = _entity(uid, attributes(facts), parents)
            if isinstance(facts, ModelFacts):
                self._places.setdefault(uid, {}).setdefault(facts.place, entity)
            self._above[uid] = frozenset((uid, *parents))
            self._known.setdefault(uid, entity)
        groups = sorted(frozenset().union(*self._above.values()) - set(self._above))
        self._known |= {uid: _entity(uid, {}, ()) for uid in groups}
        self.entities = _parse(self._known)
        """With every model at its first place."""
        self._layers = {0: self.entities}

    def above(self, uid: Uid) -> frozenset[Uid] | None:
        """Return an entity and what it is in; None for one that is not in force."""
        return self._above.get(uid)

    def views(self, uid: Uid) -> tuple[View, ...]:
        """Return everything in force, once for each place of an entity, in their order."""
        places = self._places.get(uid, {})
        if len(places) <= 1:
            return (("", self.entities),)
        return tuple((place, self._layer(number)) for number, place in enumerate(places))

    def _layer(self, number: int) -> cedarpy.Entities:
        """Return everything with the models at their place of a number that have as many."""
        found = self._layers.get(number)
        if found is None:
            moved = {
                uid: list(places.values())[number]
                for uid, places in self._places.items()
                if len(places) > number
            }
            found = self._layers[number] = _parse(self._known | moved)
        return found


def _parse(entities: dict[Uid, dict[str, Any]]) -> cedarpy.Entities:
    return cedarpy.Entities.from_json_str(json.dumps(list(entities.values())), SCHEMA)


def _entity(uid: Uid, attrs: dict[str, Any], parents: tuple[Uid, ...]) -> dict[str, Any]:
    return {
        "uid": {"type": uid[0], "id": uid[1]},
        "attrs": attrs,
        "parents": [{"type": kind, "id": name} for kind, name in parents],
    }
