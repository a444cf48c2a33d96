"""Reading what a server says of its tools: bounded, canonical, one definition for each name."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from watchkeeper.core.digest import canonical, digest, parse
from watchkeeper.core.errors import Invalid
from watchkeeper.core.text import make_safe
from watchkeeper.tools.upstreams.model import ToolDefinition
from watchkeeper.tools.upstreams.protocol import mirrored_parameters

LARGEST = 64 * 1024
"""Bytes that one definition may take."""
LONGEST_NAME = 128
_DOMAIN = "watchkeeper/tool-definition/v1"
_NAMELESS = "(no name)"


class _Named(msgspec.Struct):
    name: str


_named = msgspec.json.Decoder(_Named)


def hash_of(raw: bytes | memoryview) -> bytes:
    """Return what a definition is remembered by."""
    return hashlib.sha256(raw).digest()


def read_definition(raw: bytes) -> ToolDefinition:
    """Read one entry of ``tools/list``.

    Raises `msgspec.MsgspecError` or `RecursionError` for what has no name: then the whole
    listing is malformed. Any other fault is the definition's `problem`.
    """
    name = _named.decode(raw).name
    sent = "sha256:" + hash_of(raw).hex()

    def unusable(problem: str) -> ToolDefinition:
        shown = str(make_safe(name, limit=LONGEST_NAME)) or _NAMELESS
        return ToolDefinition(shown, digest=sent, problem=problem)

    if not name or len(name) > LONGEST_NAME:
        return unusable(f"its name is not 1 to {LONGEST_NAME} characters long")
    if "\0" in name:
        return unusable("its name holds a NUL")
    if len(raw) > LARGEST:
        return unusable(f"its definition is larger than {LARGEST // 1024} KiB")
    try:
        said = parse(raw)
        meant = _meant(name, said)
        text = canonical(meant)
    except Invalid as error:
        return unusable(f"its definition can't be read: {error.message}")
    return ToolDefinition(
        name,
        meant["inputSchema"],
        meant["outputSchema"],
        mirrored_parameters(meant["inputSchema"]),
        meant["title"],
        meant["description"],
        meant["annotations"],
        text.decode(),
        digest(_DOMAIN, meant),
    )


def twice(first: ToolDefinition, second: ToolDefinition) -> ToolDefinition:
    """Return what stands for a name that is listed more than once: nobody can tell which runs."""
    both = hash_of((first.digest + second.digest).encode()).hex()
    return ToolDefinition(
        first.name, digest=f"sha256:{both}", problem="its name is listed more than once"
    )


def restore(text: str, known_digest: str) -> ToolDefinition:
    """Return the definition whose canonical text was kept."""
    said = parse(text)
    return ToolDefinition(
        said["name"],
        said["inputSchema"],
        said["outputSchema"],
        mirrored_parameters(said["inputSchema"]),
        said["title"],
        said["description"],
        said["annotations"],
        text,
        known_digest,
    )


def _meant(name: str, said: dict[str, Any]) -> dict[str, Any]:
    """Return what a digest covers; raise `Invalid` for a member of the wrong kind."""
    meant: dict[str, Any] = {"name": name}
    for member, kind in (
        ("title", str),
        ("description", str),
        ("inputSchema", dict),
        ("outputSchema", dict),
        ("annotations", dict),
    ):
        value = said.get(member)
        if value is not None and not isinstance(value, kind):
            raise Invalid(f"{member} is not {'text' if kind is str else 'an object'}")
        meant[member] = value
    meant["inputSchema"] = meant["inputSchema"] or {}
    return meant
