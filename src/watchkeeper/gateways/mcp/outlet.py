"""What of a tool's answer goes to the agent: inspected, checked, and recorded as such."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from watchkeeper.core.text import make_safe
from watchkeeper.decide.catalogue import Catalogue, CatalogueView, GovernedTool
from watchkeeper.decide.contents import LARGEST_AT_ONCE
from watchkeeper.decide.fitting import check_of
from watchkeeper.gateways.mcp.results import as_result, is_error, withheld, without_our_words
from watchkeeper.gateways.performing import Performed
from watchkeeper.tools.inspection.redaction import redact_text
from watchkeeper.tools.inspection.results import Released, Terms, Withheld, release
from watchkeeper.tools.inspection.rules import ALL, Classes, in_order, withheld_out
from watchkeeper.tools.upstreams.model import Progress, Result
from watchkeeper.wire.data import DATA_CLASSES
from watchkeeper.wire.decisions import Answer, Outcome, OutcomeStatus

_LONGEST_MESSAGE = 2000


class Outlet:
    """Lets one agent have what it may of one call's answer."""

    def __init__(self, view: CatalogueView, agent: str, tool: str, answer: Answer) -> None:
        catalogue = view.now
        governed = catalogue.tools.get(tool)
        self._answer = answer
        self._reads = governed is not None and governed.contract.access == "read"
        check = check_of(catalogue, governed, "result") if governed else None
        self._terms = Terms(tool, _unwanted(catalogue, agent, governed, answer), check)

    def words(self, text: str) -> str:
        """Return a message of the tool as the agent may have it: its beginning, if it is long."""
        return redact_text(text[:LARGEST_AT_ONCE], self._terms.unwanted)

    def progress(self, send: Progress | None) -> Progress | None:
        """Return what passes progress on to the agent, its words inspected like a result."""
        if send is None:
            return None

        def passing(params: Mapping[str, Any]) -> None:
            shown: dict[str, Any] = {
                name: params[name]
                for name in ("progress", "total")
                if _is_count(params.get(name))
                and self.words(str(params[name])) == str(params[name])
            }
            said = params.get("message")
            if isinstance(said, str):
                shown["message"] = self.words(said[:_LONGEST_MESSAGE])
            if "progress" in shown:
                send(shown)

        return passing

    async def performed(self, result: Result) -> Performed[Result]:
        """Return what the agent gets of a result, and how the call is recorded to have ended."""
        result = without_our_words(result)
        if sum(len(bytes(raw)) for raw in result.values()) > LARGEST_AT_ONCE:
            released = await asyncio.to_thread(release, result, self._terms)
        else:
            released = release(result, self._terms)
        digest = hashlib.sha256(
            b"".join(bytes(result.get(part, b"")) for part in ("content", "structuredContent"))
        ).hexdigest()
        status: OutcomeStatus = "failed" if is_error(result) else "succeeded"
        error = "the tool reported an error" if status == "failed" else None
        shown = released.result
        if isinstance(shown, Withheld):
            # it ran: only what changes nothing has simply failed
            status = "failed" if self._reads else "unknown"
            error = str(make_safe(f"withheld by rule {shown.rule}: {shown.problem}", limit=1000))
            shown = as_result(
                withheld(shown.rule, shown.problem, self._answer.decision, status=status)
            )
        return Performed(
            shown,
            Outcome(
                status=status,
                result_digest=f"sha256:{digest}",
                error=error,
                classes=in_order(released.classes),
                redacted=in_order(released.redacted),
            ),
            kept=msgspec.json.encode(shown) if _may_be_kept(released) else None,
        )


def _is_count(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _may_be_kept(released: Released) -> bool:
    """A secret that the agent is given is not kept: the same call is told only how it ended."""
    return isinstance(released.result, Withheld) or "secret" not in (
        released.classes - released.redacted
    )


def _unwanted(
    catalogue: Catalogue, agent: str, governed: GovernedTool | None, answer: Answer
) -> Classes:
    given = governed.contract.data.given if governed else ()
    unwanted = withheld_out(catalogue.redaction_of(agent), given)
    for duty in answer.obligations:
        if duty.kind == "redact":
            named = frozenset(one for one in DATA_CLASSES if one in duty.classes)
            # a class that nobody can recognise is kept back with all others
            unwanted |= named if len(named) == len(set(duty.classes)) else ALL
    return unwanted
