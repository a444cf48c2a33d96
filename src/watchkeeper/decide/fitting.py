"""What arguments and results of a tool must look like: its contract's schema, else the pinned one.

A definition's schema is an upstream's: it is compiled once for each digest, and one that can't
be used lets nothing fit.
"""

from __future__ import annotations

from typing import Any, Literal

from watchkeeper.core.errors import Invalid
from watchkeeper.decide.catalogue import Catalogue, GovernedTool
from watchkeeper.tools.inspection.schemas import Check, compile_schema
from watchkeeper.tools.upstreams.model import ToolDefinition

Side = Literal["arguments", "result"]

_MOST = 1024
_compiled: dict[tuple[str, Side], Check | None] = {}


def check_of(catalogue: Catalogue, tool: GovernedTool, side: Side) -> Check | None:
    """Return what checks one side of a tool's calls, or None where nobody declared a schema."""
    own = tool.check if side == "arguments" else tool.check_output
    contract = tool.contract
    if own is not None or contract.upstream is None:
        return own
    pin = catalogue.pins.by_tool.get((contract.upstream, contract.offered_as))
    return _check_by(pin.pinned, side) if pin and pin.pinned else None


def _check_by(definition: ToolDefinition, side: Side) -> Check | None:
    key = (definition.digest, side)
    if key not in _compiled:
        if len(_compiled) >= _MOST:
            _compiled.clear()
        _compiled[key] = _compile(definition, side)
    return _compiled[key]


def _compile(definition: ToolDefinition, side: Side) -> Check | None:
    schema = definition.input_schema if side == "arguments" else definition.output_schema
    if not schema:
        return None
    try:
        return compile_schema(schema, side)
    except Invalid:
        return _unusable


def _unusable(value: Any) -> str:
    return "its server declares a schema that can't be used"


def result_can_be_checked(catalogue: Catalogue, tool: GovernedTool) -> bool:
    """Tell whether a result could be told to fit; else there is no use in a call of the tool."""
    return check_of(catalogue, tool, "result") is not _unusable
