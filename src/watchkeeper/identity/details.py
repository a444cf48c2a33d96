"""Authorization details (RFC 9396): which tool calls a token is for, and how many. Pure rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from watchkeeper.core.digest import parse
from watchkeeper.core.errors import Invalid
from watchkeeper.core.money import dollars, micros_from_number

Access = Literal["read", "write"]
MOST_DETAILS = 20
MOST_NAMES = 100
DETAIL_TYPE = "tool_call"
"""The one type of authorization details (RFC 9396) that is known here."""

_KNOWN = frozenset({"type", "tools", "actions", "locations", "max_amount_usd", "max_calls"})


@dataclass(frozen=True, slots=True)
class Use:
    """What an action uses, as far as a token's scope looks at it."""

    kind: Literal["tool", "model", "agent"]
    name: str
    access: Access = "write"
    location: str | None = None
    """The upstream that performs it."""


@dataclass(frozen=True, slots=True)
class Detail:
    """One authorization detail. Empty lists admit everything; None caps nothing.

    `counter` names what its calls and amounts are counted under; only one with a limit has any.
    """

    tools: tuple[str, ...] = ()
    actions: tuple[Access, ...] = ()
    locations: tuple[str, ...] = ()
    max_amount_micros: int | None = None
    max_calls: int | None = None
    counter: str = ""

    @property
    def counted(self) -> bool:
        """Whether its use has a limit."""
        return self.max_calls is not None or self.max_amount_micros is not None

    def admits(self, use: Use) -> bool:
        """Tell whether the detail is about this use; its limits are not looked at."""
        return (
            use.kind == "tool"
            and (not self.tools or use.name in self.tools)
            and (not self.actions or use.access in self.actions)
            and (not self.locations or use.location in self.locations)
        )


def at_most(narrow: Detail, wide: Detail) -> bool:
    """Tell whether a detail allows nothing that another does not."""
    return (
        _within(narrow.tools, wide.tools)
        and _within(narrow.actions, wide.actions)
        and _within(narrow.locations, wide.locations)
        and _below(narrow.max_calls, wide.max_calls)
        and _below(narrow.max_amount_micros, wide.max_amount_micros)
    )


def _within(narrow: Sequence[str], wide: Sequence[str]) -> bool:
    return not wide or (bool(narrow) and set(narrow) <= set(wide))


def _below(narrow: int | None, wide: int | None) -> bool:
    return wide is None or (narrow is not None and narrow <= wide)


def read_details(text: str | None, counter: str) -> tuple[Detail, ...] | None:
    """Read `authorization_details` (RFC 9396); what is counted is counted under `counter`.

    Raises `Invalid` (`invalid_authorization_details`) for an unknown type or field.
    """
    if text is None:
        return None
    try:
        sent = parse(text)
    except Invalid as error:
        raise _bad_detail(error.message) from None
    if not isinstance(sent, list) or not 1 <= len(sent) <= MOST_DETAILS:
        raise _bad_detail(f"give a list of 1 to {MOST_DETAILS} details")
    return tuple(_read_detail(one, f"{counter}/{index}") for index, one in enumerate(sent))


def _read_detail(sent: Any, counter: str) -> Detail:
    if not isinstance(sent, dict) or sent.get("type") != DETAIL_TYPE:
        raise _bad_detail(f"each detail is an object with the type {DETAIL_TYPE}")
    unknown = sorted(sent.keys() - _KNOWN)
    if unknown:
        raise _bad_detail(f"unknown field {unknown[0]!a:.60}")
    actions = _names(sent, "actions")
    if not set(actions) <= {"read", "write"}:
        raise _bad_detail("actions are read and write")
    return Detail(
        _names(sent, "tools"),
        actions,  # type: ignore[arg-type]
        _names(sent, "locations"),
        _amount(sent),
        _calls(sent),
        counter,
    )


def _names(sent: dict[str, Any], field: str) -> tuple[str, ...]:
    value = sent.get(field, [])
    if (
        not isinstance(value, list)
        or len(value) > MOST_NAMES
        or not all(isinstance(one, str) and 0 < len(one) <= 500 for one in value)
        or (field in sent and not value)
    ):
        raise _bad_detail(f"{field} is a list of 1 to {MOST_NAMES} names")
    return tuple(dict.fromkeys(value))


def _amount(sent: dict[str, Any]) -> int | None:
    if "max_amount_usd" not in sent:
        return None
    try:
        micros = micros_from_number(sent["max_amount_usd"])
    except Invalid as error:
        raise _bad_detail(f"max_amount_usd: {error.message}") from None
    if micros < 0:
        raise _bad_detail("max_amount_usd is not below zero")
    return micros


def _calls(sent: dict[str, Any]) -> int | None:
    if "max_calls" not in sent:
        return None
    value = sent["max_calls"]
    if type(value) is not int or not 0 <= value <= 1_000_000:
        raise _bad_detail("max_calls is a whole number from 0 to 1,000,000")
    return value


def _bad_detail(why: str) -> Invalid:
    return Invalid(
        f"authorization_details: {why}",
        code="invalid_authorization_details",
        rule="identity/authorization-details",
    )


def show_detail(detail: Detail) -> dict[str, Any]:
    """Return a detail as RFC 9396 writes it."""
    shown: dict[str, Any] = {"type": DETAIL_TYPE}
    for name in ("tools", "actions", "locations"):
        if getattr(detail, name):
            shown[name] = list(getattr(detail, name))
    if detail.max_amount_micros is not None:
        shown["max_amount_usd"] = detail.max_amount_micros / 1_000_000
    if detail.max_calls is not None:
        shown["max_calls"] = detail.max_calls
    return shown


@dataclass(frozen=True, slots=True)
class Used:
    """What was used under one counter so far."""

    calls: int = 0
    amount_micros: int = 0


USED_UP = Used(2**62, 2**62)


def affordable(
    details: Iterable[Detail], used: Callable[[str], Used], amount: int
) -> Detail | None:
    """Return the first detail that one more call of an amount stays within, or None."""
    return next((d for d in details if has_room(d, used(d.counter), amount)), None)


def has_room(detail: Detail, used: Used, amount_micros: int) -> bool:
    """Tell whether one more call of an amount stays within a detail's limits."""
    return (detail.max_calls is None or used.calls < detail.max_calls) and (
        detail.max_amount_micros is None
        or used.amount_micros + amount_micros <= detail.max_amount_micros
    )


def why_spent(details: Iterable[Detail]) -> str:
    """Say in words what the limits of details are."""
    limits = []
    for detail in details:
        parts = []
        if detail.max_calls is not None:
            parts.append(f"{detail.max_calls} call{'' if detail.max_calls == 1 else 's'}")
        if detail.max_amount_micros is not None:
            parts.append(dollars(detail.max_amount_micros))
        limits.append(" and ".join(parts))
    return "the token is good for " + ", or ".join(limits) + " of this in all"
