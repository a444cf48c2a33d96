"""What a model call asks of the path: what it may use at most, and a digest of what it says."""

from __future__ import annotations

from watchkeeper.decide.gates.contract import LIKELY, PROMPT
from watchkeeper.gateways.model.dialect import ModelCall
from watchkeeper.gateways.model.errors import malformed
from watchkeeper.gateways.model.route import Route
from watchkeeper.wire.decisions import LARGEST_USAGE, Ask, Usage

DEFAULT_OUTPUT_TOKENS = 1024
"""The ceiling on each answer for callers that set none: what is reserved must also be what can
be spent."""


def output_ceiling(call: ModelCall, route: Route | None) -> int:
    """Return the ceiling on the output of a whole call: the caller's own, or a default; never
    more than the window has room for beside what is probably sent.
    """
    asked = call.asked_output_tokens
    ceiling = DEFAULT_OUTPUT_TOKENS * call.choices if asked is None else asked
    if route is None or ceiling == 0:
        return ceiling
    room = (route.context_window - call.likely_input_tokens()) * call.choices
    return min(ceiling, room) if room >= call.choices else ceiling


def ask_for(call: ModelCall, route: Route | None, *, templates: bool = False) -> Ask:
    """Return the action: what it may cost at most, and a digest of what it says.

    `templates`: whether it matters if its prompt is a reviewed one. Raises `ModelError`.
    """
    ceiling = output_ceiling(call, route)
    most_input = call.most_input_tokens(route.context_window if route else LARGEST_USAGE)
    cost = route.most_micros(most_input, ceiling) if route else 0
    if max(ceiling, cost) > LARGEST_USAGE:
        raise malformed("it may use more than any one call may: ask for fewer tokens")
    return Ask(
        kind="model",
        name=call.model,
        fulfils=("route", "max_output_tokens"),
        arguments={
            "body": call.digest,
            "messages": call.messages,
            LIKELY: call.likely_input_tokens(),
            "max_output_tokens": ceiling,
            "stream": call.stream,
            **({PROMPT: call.prompt_digest()} if templates else {}),
        },
        estimate=Usage(input_tokens=most_input, output_tokens=ceiling, cost_micros=cost),
    )
