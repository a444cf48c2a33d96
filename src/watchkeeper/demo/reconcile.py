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
def governed_names() -> Mapping[tuple[str, str], str]:
    """Return the governed tool's name for each (upstream, its own name of the tool)."""
    import yaml

    names = {}
    for path, text in fleet_files():
        if path.startswith("tools/"):
            for document in yaml.safe_load_all(text):
                tool = document["tool"]
                names[tool["upstream"], tool["upstream_tool"]] = tool["name"]
    return names


def reconcile(
    events: Sequence[EventRow],
    calls: Sequence[Call],
    refunds: Sequence[Call],
    asked: Mapping[str, Mapping[str, Any]],
) -> Books:
    """Find executed calls that no permit covers, and refunds that no used approval covers.

    A permit covers one call of its tool between the decision and its recorded outcome. An
    approval covers one refund: approved, then redeemed, with exactly these arguments.
    `asked` holds tool and arguments of each approval request.
    """
    return Books(
        tuple(call.text for call in _unapproved(events, refunds, asked)),
        tuple(call.text for call in _unrecorded(events, calls)),
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


def _unrecorded(events: Sequence[EventRow], calls: Sequence[Call]) -> list[Call]:
    began: dict[str, tuple[str, int]] = {}
    ended: dict[str, int] = {}
    for event in events:
        decision = str(event.body.get("decision", ""))
        if event.type == "decision.permitted" and event.body.get("kind") == "tool":
            began[decision] = (str(event.body["name"]), event.at)
        elif event.type == "outcome.recorded":
            ended[decision] = event.at
    spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for decision, (tool, at) in began.items():
        spans[tool].append((ended.get(decision, 2**62), at))
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
