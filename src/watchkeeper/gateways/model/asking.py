"""What a model call asks of the path: what it may use at most, and a digest of what it says."""

from __future__ import annotations

from watchkeeper.decide.gates.contract import LIKELY, PROMPT, WRITES_CACHE
from watchkeeper.decide.gates.hosted import HOSTED
from watchkeeper.decide.model import ENDPOINT
from watchkeeper.gateways.model.dialect import HostedTool, ModelCall
from watchkeeper.gateways.model.errors import malformed
from watchkeeper.gateways.model.route import Route
from watchkeeper.wire.decisions import LARGEST_USAGE, Ask, DutyKind, Usage
from watchkeeper.wire.models import Endpoint

DEFAULT_OUTPUT_TOKENS = 4096
"""The ceiling on each answer for callers that set none: what is reserved must also be what can
be spent."""
_FULFILS: tuple[DutyKind, ...] = ("route", "max_output_tokens", "compose", "strip")


def output_ceiling(call: ModelCall) -> int:
    """Return the ceiling on the output of a whole call: the caller's own, or a default."""
    asked = call.asked_output_tokens
    return DEFAULT_OUTPUT_TOKENS * call.choices if asked is None else asked


def ask_for(
    call: ModelCall,
    endpoint: Endpoint,
    route: Route | None,
    window: int,
    *,
    templates: bool = False,
) -> Ask:
    """Return the action: what it may cost at most, and a digest of what it says.

    `route` is the first of the model that is named; another may answer, so `window` is the
    largest of all. `templates`: whether it matters if its prompt is a reviewed one. Raises
    `ModelError`.
    """
    ceiling = output_ceiling(call)
    # which tools the provider may run is for the path to say, and then counts there
    most_input = call.most_input_tokens(window, frozenset(one.name for one in call.hosted_tools))
    writes = call.writes_cache
    cost = route.most_micros(most_input, ceiling, writes_cache=writes) if route else 0
    if max(ceiling, most_input) > LARGEST_USAGE:
        raise malformed("it may use more than any one call may: ask for fewer tokens")
    return Ask(
        kind="model",
        name=call.model,
        fulfils=_FULFILS,
        arguments={
            "body": call.digest,
            ENDPOINT: endpoint,
            "messages": call.messages,
            LIKELY: call.likely_input_tokens(),
            "max_output_tokens": ceiling,
            "stream": call.stream,
            **({HOSTED: [_shown(one) for one in call.hosted_tools]} if call.hosted_tools else {}),
            **({} if writes else {WRITES_CACHE: False}),
            **({PROMPT: call.prompt_digest()} if templates else {}),
        },
        estimate=Usage(
            input_tokens=most_input,
            output_tokens=ceiling,
            cost_micros=min(cost, LARGEST_USAGE),
        ),
    )


def _shown(one: HostedTool) -> dict[str, str]:
    server = {"server_url": one.server_url} if one.server_url is not None else {}
    return {"tool": one.name, **server}
