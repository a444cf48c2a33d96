"""Which attributes of the context a policy reads, and how closely.

A number that is only compared with literals matters only by which of them it lies between:
questions that differ inside such a span have one answer.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from watchkeeper.policy.schema import CONTEXT

Lines = tuple[int, ...] | None
"""The numbers that an attribute is compared with, in order; None: its exact value matters."""
Reads = Mapping[str, Lines]

_COMPARISONS = frozenset({"<", "<=", ">", ">=", "==", "!="})
_NUMBERS = frozenset({"amount_micros", "est_tokens", "input_tokens", "output_tokens"})


def read_context(conditions: Any) -> Reads:
    """Return what conditions in Cedar's JSON form read of the context."""
    return merge({name: line} for name, line in _walk(conditions))


def merge(all_reads: Iterable[Reads]) -> Reads:
    """Return what several policies read together."""
    exact: set[str] = set()
    merged: dict[str, set[int]] = {}
    for reads in all_reads:
        for name, lines in reads.items():
            merged.setdefault(name, set()).update(lines or ())
            if lines is None:
                exact.add(name)
    return {name: None if name in exact else tuple(sorted(lines)) for name, lines in merged.items()}


def narrow(lines: Lines, value: Any) -> Any:
    """Return all that matters of a value: itself, or where it lies between the lines."""
    if lines is None:
        return value
    place = bisect_left(lines, value)
    return 2 * place + (place < len(lines) and lines[place] == value)


def _walk(node: Any) -> Iterator[tuple[str, Lines]]:
    if isinstance(node, list):
        for item in node:
            yield from _walk(item)
    elif isinstance(node, dict):
        if node.get("Var") == "context":
            # the whole context: as a value, or for an attribute that is not understood here
            yield from ((name, None) for name in CONTEXT)
            return
        for operator, operand in node.items():
            compared = _compared(operator, operand)
            attribute = _attribute(operand) if operator in {".", "has"} else None
            if compared is not None:
                yield compared
            elif attribute is not None:
                yield attribute, None
            else:
                yield from _walk(operand)


def _attribute(operand: Any) -> str | None:
    """Return the attribute of the context that an access reads."""
    match operand:
        case {"left": {"Var": "context"}, "attr": str(name)} if name in CONTEXT:
            return name
        case _:
            return None


def _compared(operator: str, operand: Any) -> tuple[str, Lines] | None:
    """Return an attribute and the literal that a comparison holds it against."""
    if operator not in _COMPARISONS or not isinstance(operand, dict):
        return None
    for one, other in (("left", "right"), ("right", "left")):
        match operand.get(one), operand.get(other):
            case {".": access}, {"Value": int(line)} if not isinstance(line, bool):
                name = _attribute(access)
                if name in _NUMBERS:
                    return str(name), (line,)
            case _:
                pass
    return None
