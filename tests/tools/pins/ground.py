"""Definitions as a server would list them."""

from __future__ import annotations

import json
from typing import Any

from watchkeeper.tools.pins.model import Pin, Pins
from watchkeeper.tools.pins.rules import Step, Wanted, observe
from watchkeeper.tools.upstreams.definitions import read_definition
from watchkeeper.tools.upstreams.model import ToolDefinition


def definition(name: str = "create_refund", **members: Any) -> ToolDefinition:
    """One tool, read from the JSON that a server would send."""
    said = {"name": name, "inputSchema": {"type": "object"}, "description": "Does it.", **members}
    return read_definition(json.dumps(said).encode())


def listing(*definitions: ToolDefinition) -> dict[str, ToolDefinition]:
    return {one.name: one for one in definitions}


class Record:
    """What is on record of one upstream, as the service would keep it."""

    def __init__(self, *named: str, pins: dict[str, str] | None = None) -> None:
        pinned = pins or {}
        self.wanted: Wanted = {
            name: frozenset({pinned[name]} if name in pinned else ()) for name in named
        }
        self.pins: dict[str, Pin] = {}
        self.heard: dict[str, ToolDefinition] = {}
        self.seen = False
        self.clock = 0

    def hear(self, *definitions: ToolDefinition) -> list[Step]:
        """Take a listing and return its steps."""
        self.clock += 1
        self.heard = listing(*definitions)
        steps = observe(
            "books", self.pins, self.heard, self.wanted, first=not self.seen, now=self.clock
        )
        for step in steps:
            if step.after is None:
                self.pins.pop(step.tool, None)
            else:
                self.pins[step.tool] = step.after
        self.seen = True
        return steps

    @property
    def view(self) -> Pins:
        """The deciding view."""
        seen = frozenset({"books"}) if self.seen else frozenset()
        heard = {"books": self.heard} if self.seen else {}
        return Pins({pin.key: pin for pin in self.pins.values()}, seen, heard)
