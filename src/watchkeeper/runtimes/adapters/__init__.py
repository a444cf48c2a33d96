"""How each kind of runtime is spoken to.

An adapter is made of its document, the way to it, the clock, and a directory of the plane's own
state for what it must find again after a restart (made when it is first needed).
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path

from watchkeeper.core.clock import Clock
from watchkeeper.registry.runtimes import Runtime
from watchkeeper.runtimes.calling import RuntimeCalls
from watchkeeper.runtimes.model import Adapter
from watchkeeper.tools.upstreams.credentials import Credentials
from watchkeeper.tools.upstreams.egress import Egress
from watchkeeper.wire.runtimes import RuntimeKind

KINDS: Mapping[RuntimeKind, tuple[str, str]] = {
    "langgraph": ("langgraph", "LangGraph"),
    "llamaindex": ("llamaindex", "LlamaIndex"),
    "a2a": ("a2a", "A2A"),
    "adk": ("adk", "ADK"),
    "http": ("described", "Described"),
    "process": ("processes", "Processes"),
}
"""Kind → module of this package and class: `Class(document, calls, clock, directory)`."""


def open_adapter(
    document: Runtime, egress: Egress, credentials: Credentials, clock: Clock, directory: Path
) -> Adapter:
    """Return the adapter for a runtime's document; nothing is sent yet.

    Its module is loaded when a document first needs it.
    """
    module, name = KINDS[document.kind]
    loaded = importlib.import_module(f"{__name__}.{module}")
    calls = RuntimeCalls(document, egress, credentials)
    adapter: Adapter = getattr(loaded, name)(document, calls, clock, directory)
    return adapter
