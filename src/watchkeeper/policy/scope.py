"""Which requests a policy's scope can match: what it can't match, it can't decide.

Cedar tests the scope before any condition, so a policy whose scope does not match is neither
satisfied nor in error: leaving it out changes no answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from watchkeeper.policy.population import Uid


@dataclass(frozen=True, slots=True)
class Constraint:
    """One part of a scope; None means any."""

    kind: str | None = None
    """The entity's type must be this."""
    within: frozenset[Uid] | None = None
    """The entity or something that it is in must be one of these."""

    def matches(self, uid: Uid, above: frozenset[Uid]) -> bool:
        """Tell whether an entity, with what it is in, can pass."""
        if self.kind is not None and uid[0] != self.kind:
            return False
        return self.within is None or not self.within.isdisjoint(above)


_ANY = Constraint()


@dataclass(frozen=True, slots=True)
class Scope:
    """The three parts of a policy's head."""

    principal: Constraint
    action: Constraint
    resource: Constraint

    def is_general(self) -> bool:
        """Tell whether it leaves principal and resource open."""
        return self.principal == _ANY and self.resource == _ANY


def read_scope(body: Mapping[str, Any]) -> Scope:
    """Return the scope of a policy in Cedar's JSON form; what is not understood matches."""
    return Scope(
        _read(body.get("principal", {})),
        _read(body.get("action", {})),
        _read(body.get("resource", {})),
    )


def _read(said: Mapping[str, Any]) -> Constraint:
    match said:
        case {"op": "==", "entity": {"type": str(kind), "id": str(name)}}:
            # equal is narrower than in: for what contains other entities this matches too much,
            # never too little
            return Constraint(within=frozenset({(kind, name)}))
        case {"op": "in", "entity": {"type": str(kind), "id": str(name)}}:
            return Constraint(within=frozenset({(kind, name)}))
        case {"op": "in", "entities": list(entities)}:
            return Constraint(within=frozenset((one["type"], one["id"]) for one in entities))
        case {"op": "is", "entity_type": str(kind), "in": {"entity": entity}}:
            return Constraint(kind, frozenset({(entity["type"], entity["id"])}))
        case {"op": "is", "entity_type": str(kind)}:
            return Constraint(kind)
        case _:
            return _ANY
