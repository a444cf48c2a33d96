"""What may pass: in by the tool's contract, out by that and the agent's redaction level.

Personal data passes where nothing is said of it; a secret passes only where it is named.
"""

from __future__ import annotations

from collections.abc import Collection

from watchkeeper.tools.inspection.model import TooLarge
from watchkeeper.tools.inspection.values import Inspection, inspect
from watchkeeper.wire.data import DATA_CLASSES, DataClass, RedactionLevel

Classes = frozenset[DataClass]
ALL: Classes = frozenset(DATA_CLASSES)
SECRETS: Classes = frozenset({"secret"})
UNREADABLE = Inspection(classes=ALL)
"""What is too large to inspect may hold anything."""


def refused_in(taken: Collection[DataClass] | None) -> Classes:
    """Return the classes that a tool may not be given."""
    return SECRETS if taken is None else ALL - frozenset(taken)


def withheld_out(level: RedactionLevel, given: Collection[DataClass] | None) -> Classes:
    """Return the classes of a tool's results that an agent may not be given.

    `standard`: what the tool's contract does not name, where it names any; `strict`: what it
    does not name; `off`: secrets alone. A secret passes only where the contract names it.
    """
    named = frozenset(given or ())
    if level == "off" or (level == "standard" and given is None):
        return SECRETS - named
    return ALL - named


def unrecorded(level: RedactionLevel) -> Classes:
    """Return the classes that are never kept of an agent's work; secrets, at every level."""
    return ALL if level == "strict" else SECRETS


def look(value: object) -> Inspection:
    """Return what is in a value; of one too large to inspect, that it may be anything."""
    try:
        return inspect(value)
    except TooLarge:
        return UNREADABLE


def personal_in(text: str) -> list[tuple[int, int]]:
    """Return where in a text personal data is: all of it, where it cannot be told apart."""
    try:
        seen = inspect(text)
    except TooLarge:
        return [(0, len(text))]
    if any(one.classes - SECRETS for one in seen.opened.values()):
        return [(0, len(text))]
    spans = seen.found.get(0, ())
    return [(one.start, one.end) for one in spans if one.data_class != "secret"]


def in_order(classes: Collection[DataClass]) -> tuple[DataClass, ...]:
    """Return classes in the order in which they are named, what harms most first."""
    return tuple(one for one in DATA_CLASSES if one in classes)


def listed(classes: Collection[DataClass]) -> str | None:
    """Return class names as they are recorded, with commas; None for none."""
    return ",".join(in_order(classes)) or None
