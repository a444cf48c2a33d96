"""A pin, what is offered in its place, and the deciding view of both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from watchkeeper.tools.upstreams.model import ToolDefinition
from watchkeeper.wire.tools import QuarantineState

PinState = Literal["pinned", "changed", "new", "look-alike", "gone"]
How = Literal["first sight", "accepted", "contract"]
ToolKey = tuple[str, str]
"""An upstream, and what it calls a tool."""
PLANE = "plane"


@dataclass(frozen=True, slots=True)
class Pin:
    """Where one tool of an upstream stands.

    `pinned` is the definition that is trusted, None where none ever was. `observed` is what
    the upstream lists now: None where it lists nothing of that name.
    """

    upstream: str
    tool: str
    state: PinState
    pinned: ToolDefinition | None
    observed: ToolDefinition | None
    since: int = 0
    """When it came into this state."""
    like: str | None = None
    pinned_by: str | None = None
    pinned_how: How | None = None
    pinned_at: int | None = None
    rejected: str | None = None
    """Digest that a person rejected."""
    rejected_by: str | None = None
    rejected_why: str | None = None

    @property
    def key(self) -> ToolKey:
        """The upstream and what it calls the tool."""
        return self.upstream, self.tool

    @property
    def quarantine(self) -> QuarantineState | None:
        """The state where a definition waits for a person, or None."""
        return None if self.state == "pinned" or self.state == "gone" else self.state

    @property
    def is_rejected(self) -> bool:
        """Whether a person rejected exactly what is offered now."""
        return self.observed is not None and self.rejected == self.observed.digest

    def stands_as(self, other: Pin | None) -> bool:
        """Whether another reading says the same of the tool: state and both definitions."""
        return other is not None and self._marks() == other._marks()

    def _marks(self) -> tuple[str, str | None, str | None]:
        pinned, observed = self.pinned, self.observed
        return (
            self.state,
            pinned.digest if pinned else None,
            observed.digest if observed else None,
        )


@dataclass(frozen=True, slots=True)
class Pins:
    """Every pin on record, and what this plane heard last; replaced as a whole."""

    by_tool: Mapping[ToolKey, Pin] = field(default_factory=dict)
    seen: frozenset[str] = frozenset()
    """Upstreams that were listed at least once."""
    heard: Mapping[str, Mapping[str, ToolDefinition]] = field(default_factory=dict)
    """Upstream → its newest listing here, which may be ahead of the record."""

    def of(self, upstream: str) -> dict[str, Pin]:
        """Return the pins of one upstream by tool."""
        return {pin.tool: pin for key, pin in self.by_tool.items() if key[0] == upstream}

    def listed(self, upstream: str, tool: str) -> ToolDefinition | None:
        """Return what the upstream offers under a name now, as far as is known."""
        if upstream in self.heard:
            return self.heard[upstream].get(tool)
        pin = self.by_tool.get((upstream, tool))
        return pin.observed if pin else None

    def with_heard(self, upstream: str, tools: Mapping[str, ToolDefinition]) -> Pins:
        """Return the view after a listing."""
        return replace(self, heard={**self.heard, upstream: tools})

    def with_pins(self, upstream: str, written: Iterable[Pin], removed: Iterable[str] = ()) -> Pins:
        """Return the view after what is on record of an upstream has changed."""
        by_tool = dict(self.by_tool)
        for tool in removed:
            by_tool.pop((upstream, tool), None)
        by_tool.update((pin.key, pin) for pin in written)
        return replace(self, by_tool=by_tool)

    def with_seen(self, upstream: str) -> Pins:
        """Return the view once an upstream's first listing is on record."""
        return replace(self, seen=self.seen | {upstream})

    def on_record(self, other: Pins) -> Pins:
        """Return the view with another record, and what was heard here."""
        return replace(other, heard=self.heard)


NO_PINS = Pins()


@dataclass(frozen=True, slots=True)
class Trusted:
    """The definition that a call may be made under; None where the upstream was never seen."""

    digest: str | None


@dataclass(frozen=True, slots=True)
class Distrusted:
    """Why a call may not be made."""

    rule: Literal["quarantine", "gone"]
    reason: str
    instead: str
