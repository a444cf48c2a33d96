"""Which targets of a logical model a call can go to, and in which order they are tried.

A target qualifies when it serves the endpoint, is where the contract lets it be, keeps no more
than it may, has room for the call in its window, and costs no more than one call may. Where all
of the output that is asked for has room nowhere, so much of it as there is room for is let pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal

from watchkeeper.core.money import dollars
from watchkeeper.models.ordering import Standings, T, in_order
from watchkeeper.models.targets import Target, name_of
from watchkeeper.wire.models import Endpoint, Strategy

LEAST_OUTPUT = 16
"""Fewer tokens than these are no answer: the call is refused instead of cut so short."""
Requirement = Literal["endpoint", "regions", "retention", "context_window", "price", "cost"]


@dataclass(frozen=True, slots=True)
class Needs:
    """What a call needs of whoever takes it. Tokens and money are bounds."""

    input_tokens: int
    output_tokens: int
    likely_input_tokens: int
    """What a window is compared with: a bound would refuse most of what has room."""
    endpoint: Endpoint | None = None
    """None: whoever asks performs the call, and does not say how."""
    regions: Sequence[str] = ()
    """Empty: anywhere."""
    zero_retention: bool = False
    priced: bool = False
    """Whether a target is of use whose price nobody knows."""
    most_micros: int | None = None
    writes_cache: bool = True
    """Whether the provider may keep its input for later calls, which may cost more."""

    def most_input(self, context_window: int) -> int:
        """Return the most input where a window holds so much; each text to embed has its own."""
        if self.endpoint == "embeddings":
            return self.input_tokens
        return min(self.input_tokens, context_window)


@dataclass(frozen=True, slots=True)
class Chosen(Generic[T]):
    """Where a call goes: at least one target, in the order in which they are tried."""

    targets: tuple[T, ...]
    output_tokens: int
    """What may be generated, where that is less than was asked for."""
    cost_micros: int
    """At most, whichever target takes it; 0 where nobody knows."""
    lowered_by: str
    """Why less may be generated; empty: all that was asked for may."""
    words: str
    """Why in this order; empty where there was nothing to choose."""
    strategy: Strategy


@dataclass(frozen=True, slots=True)
class Excluded:
    """Why no target qualifies."""

    requirement: Requirement | Literal["targets"]
    """The one that every target fails; `targets` where they fail different ones."""
    words: str
    remedy: str


def choose(
    targets: Sequence[T],
    needs: Needs,
    *,
    strategy: Strategy,
    standings: Standings,
    objective_ms: int | None = None,
) -> Chosen[T] | Excluded:
    """Return the targets that a call can go to, in order, or why there is none."""
    if len(targets) == 1:
        return _only(targets[0], needs, strategy)
    out: list[tuple[T, Requirement, str]] = []
    room: list[tuple[T, int, str]] = []
    for target in targets:
        failed = _fails(target, needs)
        if failed is None:
            output, limit = _room(target, needs)
            if output >= min(LEAST_OUTPUT, needs.output_tokens):
                room.append((target, output, limit))
                continue
            failed = _too_small(target, needs, limit)
        out.append((target, *failed))
    if not room:
        return _none(out)
    # what has room for all of it comes before what would cut it short
    most = max(output for _, output, _ in room)
    fit = [(target, limit) for target, output, limit in room if output == most]
    ordered, why = in_order(
        [target for target, _ in fit],
        lambda target: _cost(target, needs, most),
        strategy,
        standings,
        objective_ms,
    )
    words = [why]
    if strategy == "first" and out and ordered[0] is not targets[0]:
        words += [f"{name_of(out[0][0])} passed over: {out[0][2]}"]
    lowered = next((limit for target, limit in fit if target is ordered[0]), "")
    return Chosen(
        ordered,
        most,
        max(_cost(target, needs, most) or 0 for target in ordered),
        lowered if most < needs.output_tokens else "",
        "; ".join(filter(None, words)),
        strategy,
    )


def _only(target: T, needs: Needs, strategy: Strategy) -> Chosen[T] | Excluded:
    """Return the one target that there is, or why it does not qualify: most models have one."""
    failed = _fails(target, needs)
    if failed is None:
        output, limit = _room(target, needs)
        if output >= LEAST_OUTPUT or output >= needs.output_tokens:
            lowered = limit if output < needs.output_tokens else ""
            cost = _cost(target, needs, output) or 0
            return Chosen((target,), output, cost, lowered, "", strategy)
        failed = _too_small(target, needs, limit)
    return _none([(target, *failed)])


def _fails(target: Target, needs: Needs) -> tuple[Requirement, str] | None:
    """Say which requirement a target fails whatever the size of the call, or return None."""
    place = target.provider
    if needs.endpoint is not None and not target.serves(needs.endpoint):
        return "endpoint", f"it does not serve {needs.endpoint}"
    if needs.regions:
        where = (place.region, *place.terms.residency)
        outside = next((one for one in where if one not in needs.regions), None)
        if outside is not None:
            return "regions", f"it is in region {outside!r}"
    if needs.zero_retention and place.terms.retention != "zero":
        return "retention", f"its terms say retention: {place.terms.retention}"
    if target.price is None and (needs.priced or needs.most_micros is not None):
        return "price", "nobody knows its price, and a budget in dollars is over the call"
    return None


def _room(target: Target, needs: Needs) -> tuple[int, str]:
    """Return how much output has room, and what limits it."""
    sizes, output, limit = target.model, needs.output_tokens, ""
    window = sizes.context_window - needs.likely_input_tokens
    if window < output:
        output, limit = window, "context_window"
    if sizes.max_output_tokens is not None and sizes.max_output_tokens < output:
        output, limit = sizes.max_output_tokens, "max_output_tokens"
    most = needs.most_micros
    if most is not None and output >= 0 and (_cost(target, needs, output) or 0) > most:
        output, limit = _affordable(target, needs, output, most), "cost"
    return output, limit


def _affordable(target: Target, needs: Needs, output: int, most_micros: int) -> int:
    """Return the most output that costs no more than so much; -1 where the input alone does."""
    low, high = -1, output
    while high - low > 1:
        middle = (low + high) // 2
        if (_cost(target, needs, middle) or 0) <= most_micros:
            low = middle
        else:
            high = middle
    return low


def _cost(target: Target, needs: Needs, output_tokens: int) -> int | None:
    """Return what a call costs there at most; it holds no more input than the window does."""
    if target.price is None:
        return None
    window = target.model.context_window
    return target.price.dearest(
        needs.most_input(window), output_tokens, writes_cache=needs.writes_cache
    )


def _too_small(target: Target, needs: Needs, limit: str) -> tuple[Requirement, str]:
    if limit == "cost":
        cost = _cost(target, needs, min(LEAST_OUTPUT, needs.output_tokens)) or 0
        return (
            "cost",
            f"it may cost {dollars(cost)}, and one call may cost {dollars(needs.most_micros or 0)}",
        )
    tokens = needs.likely_input_tokens + needs.output_tokens
    window = target.model.context_window
    return (
        "context_window",
        f"the call may hold {tokens:,} tokens, and the model's window holds {window:,}",
    )


def _none(out: Sequence[tuple[Target, Requirement, str]]) -> Excluded:
    failed = {requirement for _, requirement, _ in out}
    words = _listed([f"{name_of(target)}: {why}" for target, _, why in out])
    which: Requirement | Literal["targets"] = failed.pop() if len(failed) == 1 else "targets"
    return Excluded(which, words or "it has no target", _REMEDIES[which])


def _listed(words: Iterable[str]) -> str:
    found = list(words)
    more = len(found) - _MOST_NAMED
    return "; ".join(found[:_MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")


_MOST_NAMED = 4
_REMEDIES: dict[Requirement | Literal["targets"], str] = {
    "endpoint": "call it through the endpoint of its provider's protocol, or add such a target",
    "regions": "a target in one of the contract's regions",
    "retention": "a provider whose terms say `retention: zero`",
    "context_window": "send less of the conversation, or ask for fewer output tokens",
    "price": "give the provider's model a price in its document",
    "cost": "send less of the conversation, or raise max_cost_usd_per_call in the contract",
    "targets": "a target that meets all of it",
}
