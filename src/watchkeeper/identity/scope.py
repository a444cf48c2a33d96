"""What a run token may be used for, in layers of scopes and details. Pure rules.

A token's scope is a list of layers; an action needs the consent of each. Narrowing adds a
layer and never takes one away, so what comes of it is at most what was there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from watchkeeper.core.digest import canonical, parse
from watchkeeper.core.errors import Forbidden, Invalid
from watchkeeper.identity.details import Detail, Use, at_most, show_detail
from watchkeeper.wire.base import NAME

MOST_LAYERS = 16
LONGEST_SCOPE = 64 * 1024
"""Characters of a token's whole scope as it is stored, with each token anew."""
MOST_SCOPES = 200

_SCOPE = re.compile(f"(?:tool:{NAME}(?::read)?|model:{NAME}|agent:{NAME}|class:(?:read|write))")


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
