"""What a listing changes, and whether a tool may be called: pure rules over pins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from watchkeeper.core.text import make_safe
from watchkeeper.tools.pins.differences import changed_members
from watchkeeper.tools.pins.model import (
    PLANE,
    Distrusted,
    How,
    Pin,
    Pins,
    PinState,
    Trusted,
)
from watchkeeper.tools.pins.names import KnownNames, disguised
from watchkeeper.tools.upstreams.model import ToolDefinition

MOST_UNPINNED = 200
"""Tools without a pin that are kept for one upstream; more would be noise, and are refused."""

Wanted = Mapping[str, frozenset[str]]
"""What the contracts in force name of one upstream: tool → the digests they pin, if any."""
Listing = Mapping[str, ToolDefinition]


@dataclass(frozen=True, slots=True)
class Step:
    """One change of what is on record; `after` is None where nothing is kept of the tool."""

    before: Pin | None
    after: Pin | None
    event: str
    reason: str

    @property
    def tool(self) -> str:
        """What the upstream calls the tool."""
        pin = self.after or self.before
        return pin.tool if pin else ""


@dataclass(frozen=True, slots=True)
class _Judged:
    state: PinState
    reason: str = ""
    """Why it is pinned or gone; of what is in quarantine `reason_of` tells."""
    how: How | None = None
    like: str | None = None


def observe(
    upstream: str,
    pins: Mapping[str, Pin],
    listing: Listing,
    wanted: Wanted,
    *,
    first: bool,
    now: int,
) -> list[Step]:
    """Return what a listing changes, tools under contract first.

    `first`: the upstream was never listed before, so that what it offers is pinned as it
    stands; applying its document was a person's act.
    """
    names = _known_names(pins, wanted, first)
    unpinned = sum(pin.pinned is None for pin in pins.values())
    steps = []
    for tool in sorted({*pins, *listing}, key=lambda one: (one not in wanted, one)):
        before, offered = pins.get(tool), listing.get(tool)
        if before is None and offered is not None:
            judged = _judge_new(offered, wanted, names, first)
            if judged.state != "pinned":
                unpinned += 1
                if unpinned > MOST_UNPINNED and tool not in wanted:
                    continue
            steps.append(_step(upstream, tool, None, offered, judged, now))
        elif before is not None and before.pinned is None and offered is None:
            steps.append(Step(before, None, "tool.gone", "it was never accepted, and left"))
        elif before is not None:
            judged = _judge_known(before, offered, wanted)
            step = _step(upstream, tool, before, offered, judged, now)
            if step.after is not None and not step.after.stands_as(before):
                steps.append(step)
    return steps


def _known_names(pins: Mapping[str, Pin], wanted: Wanted, first: bool) -> KnownNames:
    # where everything is new, names a letter apart are an author's plural, not a disguise
    if first:
        return KnownNames(wanted)
    return KnownNames({tool for tool, pin in pins.items() if pin.pinned} | set(wanted), wanted)


def _judge_new(offered: ToolDefinition, wanted: Wanted, names: KnownNames, first: bool) -> _Judged:
    pins = wanted.get(offered.name, frozenset())
    if offered.problem is not None:
        return _Judged("new")
    if offered.digest in pins:
        return _Judged("pinned", "the contract names this definition", "contract")
    if pins:
        return _Judged("changed")
    like = None if offered.name in wanted and first else names.like(offered.name)
    if like is not None or disguised(offered.name) is not None:
        return _Judged("look-alike", like=like)
    if first:
        return _Judged("pinned", "first sight of the upstream", "first sight")
    return _Judged("new")


def _judge_known(before: Pin, offered: ToolDefinition | None, wanted: Wanted) -> _Judged:
    pins = wanted.get(before.tool, frozenset())
    if offered is None:
        return _Judged("gone", "the upstream no longer lists it")
    if offered.problem is not None:
        return _Judged("changed" if before.pinned else "new", like=before.like)
    if offered.digest in pins:
        known = before.pinned is not None and before.pinned.digest == offered.digest
        how = before.pinned_how if known else "contract"
        return _Judged("pinned", "the contract names this definition", how)
    if pins:
        return _Judged("changed")
    if before.pinned is None:
        state = before.state if before.state in ("new", "look-alike") else "new"
        return _Judged(state, like=before.like)
    if offered.digest == before.pinned.digest:
        return _Judged("pinned", "it is as it was pinned again", before.pinned_how)
    return _Judged("changed")


def _step(
    upstream: str,
    tool: str,
    before: Pin | None,
    offered: ToolDefinition | None,
    judged: _Judged,
    now: int,
) -> Step:
    base = before or Pin(upstream, tool, judged.state, None, None)
    since = now if before is None or before.state != judged.state else before.since
    after = replace(base, state=judged.state, observed=offered, since=since, like=judged.like)
    event = _EVENTS[judged.state]
    if judged.state == "pinned" and offered is not None:
        if base.pinned is not None and base.pinned.digest == offered.digest:
            event = "tool.restored"
        else:
            after = replace(
                after, pinned=offered, pinned_by=PLANE, pinned_how=judged.how, pinned_at=now
            )
        after = replace(after, like=None, rejected=None, rejected_by=None, rejected_why=None)
    return Step(before, after, event, judged.reason or reason_of(after))


_EVENTS: Mapping[PinState, str] = {
    "pinned": "tool.pinned",
    "changed": "tool.quarantined",
    "new": "tool.quarantined",
    "look-alike": "tool.quarantined",
    "gone": "tool.gone",
}


def trust(pins: Pins, upstream: str, tool: str, contract_pin: str | None) -> Trusted | Distrusted:
    """Say under which definition a tool may be called, or why it may not."""
    pin = pins.by_tool.get((upstream, tool))
    digest = contract_pin or (pin.pinned.digest if pin and pin.pinned else None)
    if upstream not in pins.seen and upstream not in pins.heard:
        return Trusted(digest)
    offered = pins.listed(upstream, tool)
    if offered is None:
        return Distrusted(
            "gone",
            f"upstream {upstream} lists no tool {_quote(tool)}",
            "another tool, until the upstream offers it again",
        )
    if offered.problem is not None:
        why = offered.problem
    elif offered.digest == digest:
        return Trusted(digest)
    elif contract_pin is not None:
        why = f"upstream {upstream} offers it under another definition than the contract pins"
        return Distrusted(
            "quarantine",
            why,
            "another tool; a person accepts it by applying the contract with "
            f"`pin: {offered.digest}`",
        )
    elif pin is None or pin.pinned is None:
        why = _unpinned(upstream, pin)
    else:
        members = ", ".join(changed_members(pin.pinned, offered)) or "form"
        why = f"upstream {upstream} changed its definition ({members})"
    return Distrusted(
        "quarantine",
        f"{why}; it is quarantined until a person accepts that",
        "another tool; a person accepts it with "
        f"`watchkeeper tools accept {upstream}/{make_safe(tool, limit=80)} "
        f"--digest {offered.digest}`",
    )


def _unpinned(upstream: str, pin: Pin | None) -> str:
    if pin is not None and pin.like is not None:
        return f"upstream {upstream} offers it under a name that looks like {_quote(pin.like)}"
    if pin is not None and pin.state == "look-alike":
        return f"upstream {upstream} offers it under a disguised name"
    return f"upstream {upstream} offers it only since after it was first seen"


PINNED_ELSE = "its contract pins another definition: change `pin` there and apply, or reject this"


def acceptable(pin: Pin, digest: str, pins: frozenset[str]) -> str | None:
    """Return why a person may not accept a definition, or None.

    `pins`: the digests that contracts over the tool name.
    """
    if pin.quarantine is None or pin.observed is None:
        return f"it is {pin.state}, so there is nothing to accept"
    if pin.observed.digest != digest:
        return "the upstream offers another definition meanwhile"
    if pin.observed.problem is not None:
        return pin.observed.problem
    if pins and digest not in pins:
        return PINNED_ELSE
    return None


def reason_of(pin: Pin) -> str:
    """Say in words why a definition waits for a person."""
    pinned, offered = pin.pinned, pin.observed
    if offered is not None and offered.problem is not None:
        return offered.problem
    if pin.state == "look-alike":
        wrong = disguised(pin.tool)
        if pin.like is None:
            return wrong or "its name is disguised"
        opening = f"{wrong}, and" if wrong else "its name"
        return f"{opening} could be mistaken for {_quote(pin.like)}"
    if pin.state == "new" or offered is None:
        return "it appeared after the upstream was first seen"
    if pinned is None or pinned.digest == offered.digest:
        return "it is not the definition that the contract pins"
    members = ", ".join(changed_members(pinned, offered)) or "its form"
    return f"it is not as it was pinned: {members} changed"


def quarantined(pins: Pins) -> Iterator[Pin]:
    """Yield every pin that waits for a person, oldest first."""
    waiting = [pin for pin in pins.by_tool.values() if pin.quarantine is not None]
    yield from sorted(waiting, key=lambda pin: (pin.since, pin.key))


def _quote(name: str) -> str:
    return f"'{make_safe(name, limit=80)}'"
