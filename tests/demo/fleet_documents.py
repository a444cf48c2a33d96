"""The demo's documents as the registry reads them."""

from __future__ import annotations

from functools import cache

from watchkeeper.decide.policies.applying import read_files
from watchkeeper.demo.sample import fleet_files
from watchkeeper.registry.contract import AgentContract
from watchkeeper.registry.documents import ToolContract
from watchkeeper.registry.source import Sourced


@cache
def documents() -> tuple[Sourced, ...]:
    return tuple(read_files(fleet_files()))


def contracts() -> dict[str, AgentContract]:
    return {d.name: d.document for d in documents() if isinstance(d.document, AgentContract)}


def tools() -> dict[str, ToolContract]:
    return {d.name: d.document for d in documents() if isinstance(d.document, ToolContract)}
