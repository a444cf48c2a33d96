"""Matching what the tools did with what the ledger says was permitted and approved."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from watchkeeper.core.digest import parse
from watchkeeper.demo.sample import fleet_files
from watchkeeper.wire.plane import EventRow

FOREVER = 2**62
LEEWAY_US = 50_000
"""Plane and tools read one clock, but not at one moment."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call that a tool server carried out or failed at, by the governed tool's name."""

    tool: str
    arguments: Mapping[str, Any]
    at: int
    ok: bool

    @classmethod
    def of(cls, server: str, row: sqlite3.Row) -> Call:
        """Read a row of a server's call log."""
        name = governed_names().get((server, row["tool"]), f"{server}.{row['tool']}")
        return cls(name, parse(row["arguments"]), row["at"], bool(row["ok"]))

    @property
    def text(self) -> str:
        """The call in words for a report."""
        return f"{self.tool} {dict(self.arguments)}"[:200]


@dataclass(frozen=True, slots=True)
class Books:
    """What does not add up; empty when all is well."""

    refunds_without_approval: tuple[str, ...]
    calls_without_event: tuple[str, ...]


@cache
def _tools() -> tuple[Mapping[str, Any], ...]:
    import yaml

    return tuple(
        document["tool"]
        for path, text in fleet_files()
        if path.startswith("tools/")
        for document in yaml.safe_load_all(text)
    )


@cache
def governed_names() -> Mapping[tuple[str, str], str]:
    """Return the governed tool's name for each (upstream, its own name of the tool)."""
    return {(tool["upstream"], tool["upstream_tool"]): tool["name"] for tool in _tools()}


@cache
def previews() -> Mapping[str, str]:
    """Return, for each tool that has one, the tool that the plane reads its preview with."""
    return {tool["name"]: tool["preview"]["tool"] for tool in _tools() if "preview" in tool}


def reconcile(
    events: Sequence[EventRow],
    calls: Sequence[Call],
    refunds: Sequence[Call],
    asked: Mapping[str, Mapping[str, Any]],
) -> Books:
    """Find executed calls that no permit covers, and refunds that no used approval covers.

    A permit covers one call of its tool between the decision and its recorded outcome; a
    preview that the plane made for an approver covers one call of the tool that reads it. An
    approval covers one refund: approved, then redeemed, with exactly these arguments.
    `asked` holds tool and arguments of each approval request.
    """
    return Books(
        tuple(call.text for call in _unapproved(events, refunds, asked)),
        tuple(call.text for call in _unrecorded(events, calls, asked)),
    )


def _unapproved(
    events: Sequence[EventRow], refunds: Sequence[Call], asked: Mapping[str, Mapping[str, Any]]
) -> list[Call]:
    approved = {str(e.request) for e in events if e.type == "request.approved"}
    redeemed = {str(e.request) for e in events if e.type == "grant.redeemed"}
    left = [asked[r] for r in approved & redeemed if r in asked]
    missing = []
    for call in refunds:
        wanted = {**call.arguments, "tool": call.tool}
        if wanted in left:
            left.remove(wanted)
        else:
            missing.append(call)
    return missing


def _unrecorded(
    events: Sequence[EventRow], calls: Sequence[Call], asked: Mapping[str, Mapping[str, Any]]
) -> list[Call]:
    spans = _spans(events, asked)
    missing = []
    for call in sorted(calls, key=lambda c: c.at):
        # Of the permits that may cover it, use the one that ends first: no other choice
        # leaves more for later calls.
        fitting = [
            span
            for span in spans[call.tool]
            if span[1] - LEEWAY_US <= call.at <= span[0] + LEEWAY_US
        ]
        if fitting:
            spans[call.tool].remove(min(fitting))
        else:
            missing.append(call)
    return missing


def _spans(
    events: Sequence[EventRow], asked: Mapping[str, Mapping[str, Any]]
) -> dict[str, list[tuple[int, int]]]:
    """Return, for each tool, the (end, begin) of everything that covers one call of it."""
    began: dict[str, tuple[str, int]] = {}
    ended: dict[str, int] = {}
    for event in events:
        thing = str(event.body.get("decision", event.request))
        if event.type == "decision.permitted" and event.body.get("kind") == "tool":
            began[thing] = (str(event.body["name"]), event.at)
        elif event.type == "outcome.recorded":
            ended[thing] = event.at
        elif event.type == "request.created":
            tool = str(asked.get(str(event.request), {}).get("tool"))
            if tool in previews():
                began[str(event.request)] = (previews()[tool], event.at)
        elif event.type == "request.previewed":
            ended[str(event.request)] = event.at
    spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for thing, (tool, at) in began.items():
        spans[tool].append((ended.get(thing, FOREVER), at))
    return spans
