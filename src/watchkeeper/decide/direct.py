"""Upstreams that verify tokens by themselves, and what of them an agent may use that way."""

from __future__ import annotations

from watchkeeper.core.errors import Forbidden, Invalid
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.gates.identity import tool_use
from watchkeeper.identity.scope import TokenScope


def direct_tools(
    catalogue: Catalogue, agent: str, resource: str, scope: TokenScope
) -> tuple[str, list[str]]:
    """Return the audience of an upstream that verifies by itself, and the tools to be had there.

    Raises `Invalid` (`invalid_target`) if no such upstream is declared, and `Forbidden`
    (`invalid_scope`) if nothing of it is left for the agent.
    """
    found = [
        one
        for one in catalogue.upstreams.values()
        if one.direct_audience is not None and resource in (one.url, one.direct_audience)
    ]
    if not found:
        raise Invalid(
            "no upstream of that resource verifies tokens by itself",
            code="invalid_target",
            rule="identity/direct",
            remedy="name an upstream's URL whose document has direct_audience",
        )
    upstream, governed = found[0], catalogue.agents[agent]
    tools = []
    for name, asks in governed.tools.items():
        tool = catalogue.tools.get(name)
        if tool is None or tool.contract.upstream != upstream.name or asks:
            continue
        use = tool_use(catalogue, name)
        asked = tool.contract.approval is not None or tool.contract.risk == "critical"
        if not asked and scope.admits(use) and not scope.counted(use):
            tools.append(name)
    if not tools:
        raise Forbidden(
            f"nothing of {upstream.name} is left for this token without a person's decision",
            code="invalid_scope",
            rule="identity/direct",
        )
    return str(upstream.direct_audience), tools
