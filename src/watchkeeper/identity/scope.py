"""What a run token may be used for: scopes, details and their counts. Pure rules.

A token's scope is a list of layers; an action needs the consent of each. Narrowing adds a
layer and never takes one away, so what comes of it is at most what was there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from watchkeeper.core.digest import canonical, parse
from watchkeeper.core.errors import Forbidden, Invalid
from watchkeeper.core.money import dollars, micros_from_number
from watchkeeper.wire.base import NAME

Access = Literal["read", "write"]
MOST_LAYERS = 16
LONGEST_SCOPE = 64 * 1024
"""Characters of a token's whole scope as it is stored, with each token anew."""
MOST_SCOPES = 200
MOST_DETAILS = 20
MOST_NAMES = 100
DETAIL_TYPE = "tool_call"
"""The one type of authorization details (RFC 9396) that is known here."""

_SCOPE = re.compile(f"(?:tool:{NAME}(?::read)?|model:{NAME}|agent:{NAME}|class:(?:read|write))")
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


@dataclass(frozen=True, slots=True)
class Layer:
    """One narrowing: None where it says nothing of scopes or of details."""

    scopes: frozenset[str] | None = None
    details: tuple[Detail, ...] | None = None

    def names(self, use: Use) -> bool:
        """Tell whether scopes and details let a use pass, limits apart."""
        if self.scopes is not None and not in_scope(self.scopes, use):
            return False
        # details speak of tool calls: models and delegation are for scopes to narrow
        return (
            use.kind != "tool" or self.details is None or any(d.admits(use) for d in self.details)
        )


@dataclass(frozen=True, slots=True)
class TokenScope:
    """Layers from the widest to the narrowest; none of them: all that the contract allows."""

    layers: tuple[Layer, ...] = ()

    def admits(self, use: Use) -> bool:
        """Tell whether every layer lets a use pass, limits apart."""
        return all(layer.names(use) for layer in self.layers)

    def counted(self, use: Use) -> tuple[tuple[Detail, ...], ...]:
        """Return, for each layer that limits this use, the details that could pay for it."""
        if use.kind != "tool":
            return ()
        found = (
            tuple(d for d in layer.details if d.admits(use))
            for layer in self.layers
            if layer.details is not None
        )
        # a detail without limits pays for everything it admits
        return tuple(some for some in found if all(d.counted for d in some))

    def narrowed(self, layer: Layer) -> TokenScope:
        """Return this scope under one more layer; raise `Forbidden` beyond the bound."""
        if layer.scopes is None and layer.details is None:
            return self
        if len(self.layers) >= MOST_LAYERS:
            raise Forbidden(
                f"a token can be narrowed {MOST_LAYERS} times at most", rule="identity/scope"
            )
        narrowed = TokenScope((*self.layers, layer))
        if len(narrowed.text() or "") > LONGEST_SCOPE:
            raise Forbidden(
                f"the token's scopes and details are longer than {LONGEST_SCOPE:,} characters",
                rule="identity/scope",
                remedy="name fewer tools",
            )
        return narrowed

    def check_wider(self, layer: Layer) -> None:
        """Raise `Forbidden` if a new layer names what this scope does not cover."""
        for held in self.layers:
            if layer.scopes is not None and held.scopes is not None:
                beyond = sorted(s for s in layer.scopes if not covered(s, held.scopes))
                if beyond:
                    raise Forbidden(
                        f"the token does not cover {', '.join(beyond[:5])}",
                        code="invalid_scope",
                        rule="identity/scope",
                        remedy=f"ask for some of: {' '.join(sorted(held.scopes)[:20])}",
                    )
            for detail in layer.details or ():
                if held.details is not None and not any(at_most(detail, d) for d in held.details):
                    raise Forbidden(
                        "an authorization detail is wider than each one that the token carries",
                        code="invalid_authorization_details",
                        rule="identity/scope",
                        remedy="ask for the same tools, actions and locations or fewer, "
                        "and for no more calls and money",
                    )

    def text(self) -> str | None:
        """Return the scope as it is stored; None where nothing narrows it."""
        if not self.layers:
            return None
        return canonical([_layer_as_json(layer) for layer in self.layers]).decode()

    @property
    def scope_text(self) -> str | None:
        """The narrowest scope as `scope` writes it (RFC 6749, 3.3)."""
        named = [layer.scopes for layer in self.layers if layer.scopes is not None]
        return " ".join(sorted(named[-1])) if named else None

    def details_as_json(self) -> list[dict[str, Any]]:
        """Return the narrowest authorization details as they were asked for."""
        named = [layer.details for layer in self.layers if layer.details is not None]
        return [show_detail(detail) for detail in named[-1]] if named else []


UNLIMITED = TokenScope()


def in_scope(scopes: frozenset[str], use: Use) -> bool:
    """Tell whether scopes cover a use."""
    if use.kind != "tool":
        return f"{use.kind}:{use.name}" in scopes
    if f"tool:{use.name}" in scopes or f"class:{use.access}" in scopes:
        return True
    return use.access == "read" and f"tool:{use.name}:read" in scopes


def covered(scope: str, held: frozenset[str]) -> bool:
    """Tell whether one scope allows nothing that the held ones do not, whatever a tool does."""
    if scope in held:
        return True
    if scope.startswith("tool:"):
        whole = scope.removesuffix(":read")
        if scope != whole:
            return whole in held or "class:read" in held
        return {"class:read", "class:write"} <= held
    return False


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


def read_scope(text: str | None) -> frozenset[str] | None:
    """Read a `scope` parameter; raise `Invalid` (`invalid_scope`) for an unknown form."""
    if text is None:
        return None
    parts = text.split(" ")
    if not text or len(parts) > MOST_SCOPES or not all(_SCOPE.fullmatch(p) for p in parts):
        raise Invalid(
            "scope is no list of scopes",
            code="invalid_scope",
            rule="identity/scope",
            remedy="use tool:NAME, tool:NAME:read, class:read, class:write, model:NAME, agent:NAME",
        )
    return frozenset(parts)


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


@lru_cache(maxsize=512)
def read_token_scope(text: str | None) -> TokenScope:
    """Read what `TokenScope.text` wrote."""
    if text is None:
        return UNLIMITED
    return TokenScope(tuple(_layer_from_json(layer) for layer in parse(text)))


def _layer_as_json(layer: Layer) -> dict[str, Any]:
    return {
        "scopes": None if layer.scopes is None else sorted(layer.scopes),
        "details": None
        if layer.details is None
        else [
            [list(d.tools), list(d.actions), list(d.locations), d.max_amount_micros, d.max_calls,
             d.counter]
            for d in layer.details
        ],
    }  # fmt: skip


def _layer_from_json(value: dict[str, Any]) -> Layer:
    scopes, details = value["scopes"], value["details"]
    return Layer(
        None if scopes is None else frozenset(scopes),
        None
        if details is None
        else tuple(
            Detail(tuple(t), tuple(a), tuple(at), amount, calls, counter)
            for t, a, at, amount, calls, counter in details
        ),
    )


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
            parts.append(f"{detail.max_calls} calls")
        if detail.max_amount_micros is not None:
            parts.append(dollars(detail.max_amount_micros))
        limits.append(" and ".join(parts))
    return "the token is good for " + ", or ".join(limits) + " of this in all"
