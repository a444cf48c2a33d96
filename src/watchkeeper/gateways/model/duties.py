"""What a permit obliges the gateway to."""

from __future__ import annotations

from dataclasses import dataclass

from watchkeeper.gateways.http import header_value
from watchkeeper.gateways.model.asking import output_ceiling
from watchkeeper.gateways.model.dialect import ModelCall
from watchkeeper.wire.decisions import Answer

STRIPPED_HEADER = b"x-watchkeeper-stripped"


@dataclass(frozen=True, slots=True)
class Obliged:
    """The duties of one permitted call."""

    model: str
    """The logical model that answers."""
    ceiling: int
    """On the output of the whole call; 0 for calls that generate nothing."""
    without: frozenset[str]
    """The tools of the provider that are taken out."""

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the header that says what was taken out."""
        names = ", ".join(sorted(self.without))
        return [(STRIPPED_HEADER, header_value(names))] if names else []


def obliged_by(decided: Answer, call: ModelCall) -> Obliged:
    """Return the duties of a permitted call."""
    model, ceiling = call.model, output_ceiling(call)
    without: set[str] = set()
    for duty in decided.obligations:
        if duty.kind == "route" and duty.model != call.model:
            model = duty.model or model
        elif duty.kind == "strip":
            without.update(duty.tools)
        elif duty.max_output_tokens is not None:
            ceiling = min(ceiling, duty.max_output_tokens)
    return Obliged(model, ceiling, frozenset(without))
