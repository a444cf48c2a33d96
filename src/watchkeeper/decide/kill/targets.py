"""What locks may be put on."""

from __future__ import annotations

from watchkeeper.core.errors import Invalid
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.kill.model import LockTarget


def check_target(target: LockTarget, catalogue: Catalogue) -> LockTarget:
    """Return a target as locks compare it; raise `Invalid` for one that names nothing."""
    kind, name = target.kind, target.name
    if kind == "everything":
        if name != "*":
            raise Invalid("the target everything has the name *")
        return target
    if not name or name == "*":
        raise Invalid(f"name the {kind} literally", remedy="wildcards don't stop anything here")
    if kind == "version":
        agent, at, number = name.rpartition("@")
        if not (at and agent and number.isascii() and number.isdecimal()):
            raise Invalid("a version is named AGENT@NUMBER", where=name[:80])
        return LockTarget(kind, f"{agent}@{int(number)}")
    if kind == "person":
        return LockTarget(kind, catalogue.names.key(name))
    return target
