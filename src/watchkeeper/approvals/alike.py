"""Which requests ask the same: of the same tool, about the same kind of thing."""

from __future__ import annotations

from collections.abc import Iterable

from watchkeeper.core.digest import digest

_LENGTH = 16


def alike(agent: str, tool: str, object_kind: str | None, arguments: Iterable[str]) -> str:
    """Return what requests of one shape share: agent, tool, kind of object, argument names."""
    shape = [agent, tool, object_kind or "", sorted(arguments)]
    return digest("watchkeeper/alike/v1", shape).removeprefix("sha256:")[:_LENGTH]
