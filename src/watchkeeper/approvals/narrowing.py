"""When one set of arguments asks for less than another: pure rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from watchkeeper.core.digest import canonical
from watchkeeper.core.errors import Invalid
from watchkeeper.core.money import MICROS, micros_from_text
from watchkeeper.wire.decisions import Narrowing

RULE = "approval/narrowing"


def narrow(
    before: Mapping[str, Any], after: Mapping[str, Any], edits: Mapping[str, str]
) -> tuple[Narrowing, ...]:
    """Return how arguments were narrowed, by name; everything else is the same to the byte.

    `edits` says of arguments how they may change: `lower` (a smaller number, or amount of money
    in words, not below zero), `fewer` (some of a list's items, in their order), `words` (other
    text). Raises `Invalid` for anything else, and where nothing changed.
    """
    added, dropped = sorted(set(after) - set(before)), sorted(set(before) - set(after))
    if added or dropped:
        what = f"{added[0]!r:.60} was added" if added else f"{dropped[0]!r:.60} was left out"
        raise _refuse(what, "keep every argument, and add none", (added or dropped)[0])
    changed = [name for name in before if canonical(before[name]) != canonical(after[name])]
    if not changed:
        raise _refuse("nothing was changed", "approve it as it is", "")
    for name in sorted(changed):
        _check(name, before[name], after[name], edits)
    return tuple(
        Narrowing(argument=name, before=before[name], after=after[name]) for name in sorted(changed)
    )


def _check(name: str, before: Any, after: Any, edits: Mapping[str, str]) -> None:
    kind = edits.get(name)
    if kind is None:
        may = ", ".join(f"{one} ({how})" for one, how in sorted(edits.items())) or "none"
        raise _refuse(f"{name!r:.60} may not be changed", f"arguments that may: {may}", name)
    if kind == "lower":
        was, now = _number(before), _number(after)
        if was is None or now is None or isinstance(before, str) != isinstance(after, str):
            raise _refuse(f"{name} has to be a number, as it was", "give a smaller number", name)
        if not 0 <= now < was:
            raise _refuse(f"{name} can only be lowered, and not below zero", f"below {was}", name)
    elif kind == "fewer":
        if not isinstance(before, Sequence) or isinstance(before, str):
            raise _refuse(f"{name} was no list", "deny the request instead", name)
        # a tool may take an empty list for everything
        if not isinstance(after, Sequence) or isinstance(after, str) or not after:
            raise _refuse(f"{name} has to keep an item", "deny the request instead", name)
        if not _are_among(after, before):
            raise _refuse(
                f"{name} can only lose items, and keeps the order", "take items out", name
            )
    elif not (isinstance(before, str) and isinstance(after, str)):
        raise _refuse(f"{name} has to be text, as it was", "give text", name)


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return Decimal(repr(value))
    if isinstance(value, str):
        try:
            return Decimal(micros_from_text(value)) / MICROS
        except Invalid:
            return None
    return None


def _are_among(some: Sequence[Any], every: Sequence[Any]) -> bool:
    """Whether `some` are items of `every` in their order; linear."""
    left = iter([canonical(item) for item in every])
    return all(any(one == other for other in left) for one in map(canonical, some))


def _refuse(problem: str, remedy: str, name: str) -> Invalid:
    where = f"body: arguments.{name}"[:120] if name else "body: arguments"
    return Invalid(problem, code="not_narrower", where=where, rule=RULE, remedy=remedy)
