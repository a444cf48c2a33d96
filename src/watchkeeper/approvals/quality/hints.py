"""What would spare approvers work without lowering what they look at: pure rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from watchkeeper.core.digest import canonical
from watchkeeper.core.text import make_safe
from watchkeeper.wire.decisions import Risk
from watchkeeper.wire.quality import Hint

OFTEN = 5
"""So many approvals of one shape, or requests of one shape that wait, are worth a hint."""
WITHIN_DAYS = 7
_LONGEST_PIN = 200
_MOST_PINS = 20


@dataclass(frozen=True, slots=True)
class Approved:
    """Requests of one shape that people approved lately, newest first."""

    alike: str
    agent: str
    tool: str
    risk: Risk
    """The highest of them."""
    approved: int
    """By people; a deadline and one person alone in an emergency are none."""
    rejected: int
    requests: tuple[str, ...]
    arguments: tuple[Mapping[str, Any], ...]
    most_micros: int | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Requests of one shape that wait, the one that is due first in front."""

    alike: str
    agent: str
    tool: str
    count: int
    requests: tuple[str, ...]
    decide_by: int


def hint_standing(
    found: Approved, standing: Iterable[tuple[str, str, Mapping[str, Any]]]
) -> Hint | None:
    """Return the hint to propose a standing approval for what is approved again and again.

    Not for what is critical, was rejected, has no argument in common, or stands already:
    `standing` holds agent, tool and pins of what does.
    """
    if found.approved < OFTEN or found.rejected or found.risk == "critical":
        return None
    pins = common_pins(found.arguments)
    if not pins:
        return None
    told = {name: canonical(value) for name, value in pins.items()}
    for agent, tool, others in standing:
        if (agent, tool) == (found.agent, found.tool) and all(
            told.get(name) == canonical(value) for name, value in others.items()
        ):
            return None
    named = ", ".join(str(make_safe(name, limit=60)) for name in pins)
    return Hint(
        kind="standing",
        alike=found.alike,
        agent=found.agent,
        tool=found.tool,
        count=found.approved,
        text=f"{found.tool} of {found.agent} was approved {found.approved} times in "
        f"{WITHIN_DAYS} days and never rejected, always with the same {named}: "
        "propose a standing approval",
        requests=found.requests,
        pins=pins,
        each_micros=found.most_micros,
    )


def hint_group(found: Waiting) -> Hint | None:
    """Return the hint to decide together what waits together."""
    if found.count < OFTEN:
        return None
    return Hint(
        kind="group",
        alike=found.alike,
        agent=found.agent,
        tool=found.tool,
        count=found.count,
        text=f"{found.count} requests of {found.agent} for {found.tool} wait: group them",
        requests=found.requests,
        decide_by=found.decide_by,
    )


def common_pins(arguments: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the arguments that all calls have with exactly the same, short value."""
    if not arguments:
        return {}
    first, *others = arguments
    pins = {}
    for name in sorted(first):
        value = canonical(first[name])
        if len(value) <= _LONGEST_PIN and all(
            name in other and canonical(other[name]) == value for other in others
        ):
            pins[name] = first[name]
    return dict(list(pins.items())[:_MOST_PINS])
