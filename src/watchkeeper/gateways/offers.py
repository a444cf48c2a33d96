"""What the gateways offer to each agent: a narrow view of what is in force."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from watchkeeper.decide.catalogue import Catalogue, CatalogueView, GovernedTool
from watchkeeper.decide.fitting import result_can_be_checked
from watchkeeper.decide.gates.answering import judging_of
from watchkeeper.decide.gates.hosted import HOSTED_TOOL
from watchkeeper.decide.gates.identity import tool_use
from watchkeeper.decide.models.pricing import GovernedModel, GovernedTarget
from watchkeeper.decide.retention import keeps_nothing
from watchkeeper.decide.tokens.credentials import credential_of
from watchkeeper.gateways.mcp.outlet import Outlet
from watchkeeper.gateways.model.judging import Judge
from watchkeeper.gateways.model.route import Route
from watchkeeper.identity.details import Use
from watchkeeper.identity.scope import UNLIMITED, TokenScope
from watchkeeper.registry.providers import Ensemble
from watchkeeper.tools.upstreams.model import UpstreamSpec
from watchkeeper.tools.upstreams.protocol import without_mirrors
from watchkeeper.wire.decisions import Answer
from watchkeeper.wire.models import Protocol, Routed, TargetShown

_DEFAULT_HOLD_SECONDS = 4
_MOST_WAYS = 1000
"""Routes remembered; those of documents that are in force no more among them."""


@dataclass(frozen=True, slots=True)
class Performance:
    """How a tool is performed."""

    upstream: str | None
    """None: the agent performs it itself and only asks."""
    tool: str
    timeout_seconds: float


class Offers:
    """Reads the catalogue in force; each call sees the newest."""

    def __init__(self, view: CatalogueView) -> None:
        self._view = view
        self._ways: dict[int, tuple[GovernedTarget, Route]] = {}
        """By the identity of a target, which is held here, so that it is no other's."""

    def hold_seconds(self, agent: str) -> float:
        """Return how long the agent's client bears to wait for a person."""
        governed = self._view.now.agents.get(agent)
        return governed.contract.approvals.hold_seconds if governed else _DEFAULT_HOLD_SECONDS

    def tools(
        self,
        agent: str,
        scope: TokenScope = UNLIMITED,
        refused: Callable[[str], bool] = lambda name: False,
    ) -> list[dict[str, Any]]:
        """Return the tools that a token of an agent is for and that no lock refuses it, as
        ``tools/list`` shows them.
        """
        now = self._view.now
        governed = now.agents.get(agent)
        return [
            self._describe(now.tools[name])
            for name in (governed.tools if governed else ())
            if name in now.tools and now.tools[name].contract.upstream is not None
            if not name.startswith(HOSTED_TOOL)
            if scope.admits(tool_use(now, name))
            if not refused(name)
        ]

    def _describe(self, tool: GovernedTool) -> dict[str, Any]:
        """The words are the contract's, the schemas of the definition that is pinned.

        A server's own description could mislead the agent, and so could one nobody accepted.
        """
        contract = tool.contract
        key = (contract.upstream or "", contract.offered_as)
        pin = self._view.now.pins.by_tool.get(key)
        definition = pin.pinned if pin else None
        schema = contract.input_schema or (definition.input_schema if definition else None)
        shown: dict[str, Any] = {
            "name": self._view.now.functions.offered[contract.name],
            "title": contract.name,
            "description": contract.does,
            "inputSchema": {"type": "object", **without_mirrors(schema or {})},
            "annotations": {
                "readOnlyHint": contract.access == "read",
                "destructiveHint": contract.access == "write"
                and contract.risk in ("high", "critical"),
            },
        }
        output = contract.output_schema
        if output is None and definition is not None:
            output = definition.output_schema
        if output is not None and result_can_be_checked(self._view.now, tool):
            shown["outputSchema"] = output
        return shown

    def named(self, tool: str) -> str:
        """Return what contracts call a tool that is listed so, or called by that very name."""
        return self._view.now.functions.tool(tool)

    def outlet(self, agent: str, tool: str, answer: Answer) -> Outlet:
        """Return what lets an agent have what it may of a permitted call's result."""
        return Outlet(self._view, agent, tool, answer)

    def performance(self, tool: str) -> Performance | None:
        """Return how a tool is performed, or None when no such tool is in force."""
        governed = self._view.now.tools.get(tool)
        if governed is None:
            return None
        contract = governed.contract
        return Performance(contract.upstream, contract.offered_as, contract.timeout_seconds)

    def models(self, agent: str, protocol: Protocol, scope: TokenScope = UNLIMITED) -> list[str]:
        """Return the logical models that a token of an agent is for, and that providers of a
        protocol serve.
        """
        now = self._view.now
        governed = now.agents.get(agent)
        routing = governed.contract.model_routing if governed else None
        named = routing.models if routing else ()
        known = [name for name in named if _speaks(now.models, name, protocol)]
        return [name for name in known if scope.admits(Use("model", name))]

    def names_prompts(self, agent: str) -> bool:
        """Tell whether an agent's contract names the prompts that it may send."""
        governed = self._view.now.agents.get(agent)
        return governed is not None and bool(governed.contract.context.prompt_templates)

    def route(self, model: str) -> Route | None:
        """Return where a logical model is served and what it costs, or None."""
        governed = self._view.now.models.get(model)
        target = governed.primary if governed else None
        return self._route(target) if target else None

    def largest_window(self) -> int:
        """Return the most that any model in force holds, in tokens."""
        return self._view.now.largest_window

    def routes(
        self, model: str, targets: Iterable[TargetShown], at: Catalogue | None = None
    ) -> tuple[Route, ...]:
        """Return the way to those targets of a logical model that are in force; `at`: that were
        when the call was decided on.
        """
        governed = (at or self._view.now).models.get(model)
        found = (
            {(one.provider.name, one.model.name): one for one in governed.targets}
            if governed
            else {}
        )
        wanted = (found.get((one.provider, one.model)) for one in targets)
        return tuple(self._route(one) for one in wanted if one is not None)

    def _route(self, target: GovernedTarget) -> Route:
        known = self._ways.get(id(target))
        if known is None:
            if len(self._ways) >= _MOST_WAYS:
                self._ways.clear()
            known = self._ways[id(target)] = (target, _route(target))
        return known[1]

    def judge(self, agent: str, named: str, routed: Routed) -> Judge | None:
        """Return what looks at the answer of the smaller model of a call that names a model."""
        found = judging_of(self._view.now, agent, named, routed.model, routed.cause)
        keeps = not keeps_nothing(self._view.now, agent, "model")
        return Judge(found.conditions, quotes=keeps) if found else None

    def ensemble(self, model: str) -> Ensemble | None:
        """Return how a logical model combines others; None: it is no ensemble, any more."""
        governed = self._view.now.models.get(model)
        return governed.document.ensemble if governed else None

    def providers(self) -> list[str]:
        """Return every provider in force."""
        return list(self._view.now.providers)

    def upstreams(self) -> list[UpstreamSpec]:
        """Return every upstream in force."""
        return [
            UpstreamSpec(
                one.name,
                one.transport,
                one.url,
                one.command,
                credential_of(one.credential, one.allow_private),
                one.allow_private,
            )
            for one in self._view.now.upstreams.values()
        ]


def _speaks(models: Mapping[str, GovernedModel], name: str, protocol: Protocol) -> bool:
    """Tell whether a logical model, or all that are combined to it, can be called in a protocol."""
    model = models.get(name)
    if model is None:
        return False
    ensemble = model.document.ensemble
    behind = [models[one] for one in ensemble.models if one in models] if ensemble else [model]
    return any(one.provider.protocol == protocol for leg in behind for one in leg.targets)


def _route(target: GovernedTarget) -> Route:
    provider = target.provider
    return Route(
        provider=provider.name,
        base_url=provider.base_url,
        credential=credential_of(provider.credential, provider.allow_private),
        provider_model=target.model.name,
        price=target.price,
        context_window=target.model.context_window,
        timeout_seconds=provider.timeout_seconds,
        allow_private=provider.allow_private,
        attempts=provider.retries.attempts,
        retry_percent=provider.retries.budget_percent,
        backoff_seconds=provider.retries.backoff_seconds,
    )
