"""Drafting contracts from an upstream's own definitions: defaults, for a person to finish."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from watchkeeper.core.text import make_safe
from watchkeeper.tools.pins.names import KnownNames, disguised
from watchkeeper.tools.upstreams.model import ToolDefinition
from watchkeeper.tools.upstreams.protocol import without_mirrors
from watchkeeper.wire.base import NAME
from watchkeeper.wire.decisions import Risk

_NAME = re.compile(NAME)
_DOES = 200
_HEAD = """\
# Drafted from what upstream {upstream} says of itself, which proves nothing. For each tool a
# person must still decide:
# - does: in your own words; agents and approvers read it
# - access and risk: what is drafted is a guess
# - reversible, rollback, blast_radius: how it is taken back, and what it reaches
# - never, amount_usd, approval: what it must never be given, and who must agree
# - pin: with it a changed definition needs a change here; without it a person's `tools accept`
"""
_MOST = 200
_LARGEST_SCHEMA = 16 * 1024
_DESTROYS = frozenset({
    "delete", "drop", "destroy", "remove", "purge", "wipe", "erase", "terminate", "kill", "cancel",
    "revoke", "close",
})  # fmt: skip
_MOVES = frozenset({
    "pay", "refund", "transfer", "charge", "send", "publish", "deploy", "grant", "execute", "run",
    "merge", "approve",
})  # fmt: skip
_READS = frozenset({
    "get", "list", "read", "search", "find", "lookup", "look", "fetch", "describe", "show",
    "count", "query", "view", "check",
})  # fmt: skip
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_MONEY = re.compile(r"amount|price|total|usd|dollars", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Drafted:
    """Documents in YAML, and what could not be drafted with the reason."""

    yaml: str
    count: int
    left_out: tuple[str, ...]


def draft(
    upstream: str, listing: Mapping[str, ToolDefinition], covered: Collection[str]
) -> Drafted:
    """Draft a contract for each tool that has none.

    A server's hints are defaults only: it says itself that it is harmless.
    """
    texts: list[str] = []
    left_out: list[str] = []
    names = KnownNames(listing)
    for tool, definition in sorted(listing.items()):
        if tool in covered:
            continue
        shown = str(make_safe(tool, limit=80))
        wrong = definition.problem or disguised(tool)
        name = propose_name(upstream, tool)
        if len(texts) == _MOST:
            left_out.append(f"only {_MOST} contracts are drafted at a time")
            break
        if wrong is None and len(definition.text) > _LARGEST_SCHEMA:
            wrong = f"its definition is larger than {_LARGEST_SCHEMA // 1024} KiB"
        if wrong is not None or name is None:
            left_out.append(f"{shown}: {wrong or 'no name can be made of it'}")
            continue
        texts.append(_draft(upstream, name, definition, names.like(tool)))
    head = _HEAD.format(upstream=upstream) if texts else ""
    return Drafted(head + "---\n".join(texts), len(texts), tuple(left_out))


def propose_name(upstream: str, tool: str) -> str | None:
    """Return ``UPSTREAM.tool`` in the form that names have here, or None."""
    part = re.sub(r"[^a-z0-9._-]+", "_", tool.lower()).strip("._-")
    name = f"{upstream}.{part}"
    return name if part and _NAME.fullmatch(name) else None


def guess(definition: ToolDefinition) -> tuple[str, Risk]:
    """Return access and risk: by the server's hints, by the verb where it gives none."""
    hints = definition.annotations or {}
    words = [word.lower() for word in _WORD.findall(definition.name)]
    verb = words[0] if words else ""
    reads = hints.get("readOnlyHint")
    if not isinstance(reads, bool):
        reads = verb in _READS
    if reads and not _DESTROYS.intersection(words):
        return "read", "low"
    if hints.get("destructiveHint") is True or _DESTROYS.intersection(words):
        return "write", "high"
    return "write", "high" if _MOVES.intersection(words) else "medium"


def _draft(upstream: str, name: str, definition: ToolDefinition, like: str | None) -> str:
    access, risk = guess(definition)
    schema = without_mirrors(definition.input_schema) or {"type": "object"}
    words = (definition.description or definition.title or "").strip().partition("\n")[0]
    fields: dict[str, Any] = {
        "name": name,
        "upstream": upstream,
        "upstream_tool": definition.name,
        "does": str(make_safe(words, limit=_DOES)) or "Nothing is said of it.",
        "access": access,
        "risk": risk,
    }
    lines = [f"# access, risk: {_why(definition)}"]
    money = [key for key in _properties(schema) if _MONEY.search(key)]
    if money:
        lines.append(f"# amount_usd: is money moved by {', '.join(_shown(money))}?")
    if schema.get("additionalProperties") is not False:
        lines.append("# input_schema: it takes arguments that it does not name")
    if like is not None:
        lines.append(f"# ! its name looks like {make_safe(like, limit=80)}, which it offers too")
    body = {**fields, "input_schema": schema, "pin": definition.digest}
    text = yaml.safe_dump({"tool": body}, sort_keys=False, allow_unicode=False, width=96)
    return "\n".join(lines) + "\n" + text


def _why(definition: ToolDefinition) -> str:
    hints = definition.annotations or {}
    said = [
        f"{hint} is {str(hints[hint]).lower()}"
        for hint in ("readOnlyHint", "destructiveHint")
        if isinstance(hints.get(hint), bool)
    ]
    return f"the upstream says {' and '.join(said)}" if said else "guessed from its name"


def _properties(schema: Mapping[str, Any]) -> list[str]:
    properties = schema.get("properties")
    return list(properties) if isinstance(properties, dict) else []


def _shown(names: list[str]) -> list[str]:
    return [str(make_safe(name, limit=60)) for name in names[:5]]
