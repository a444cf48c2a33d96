"""What routing knows of a provider's model behind a logical one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from watchkeeper.wire.models import Endpoint


class Terms(Protocol):
    """What a provider promises of the data that it is sent."""

    @property
    def retention(self) -> Literal["zero", "limited", "unknown"]:
        """What it keeps."""
        ...

    @property
    def residency(self) -> Sequence[str]:
        """Where that stays; empty: in its own region."""
        ...


class Place(Protocol):
    """A provider."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def region(self) -> str:
        """Where it is."""
        ...

    @property
    def terms(self) -> Terms:
        """What it promises."""
        ...


class Sizes(Protocol):
    """A provider's model."""

    @property
    def name(self) -> str:
        """What its provider calls it."""
        ...

    @property
    def context_window(self) -> int:
        """What a call may hold, in tokens."""
        ...

    @property
    def max_output_tokens(self) -> int | None:
        """What it generates at most for one call."""
        ...


class Cost(Protocol):
    """What a provider's model costs."""

    def dearest(self, input_tokens: int, output_tokens: int, *, writes_cache: bool = True) -> int:
        """Return what a call costs at most, in micro-dollars."""
        ...


class Target(Protocol):
    """A provider's model behind a logical one."""

    @property
    def provider(self) -> Place:
        """Who serves it."""
        ...

    @property
    def model(self) -> Sizes:
        """What is served."""
        ...

    @property
    def price(self) -> Cost | None:
        """What it costs; None: nobody knows."""
        ...

    def serves(self, endpoint: Endpoint) -> bool:
        """Tell whether calls of an endpoint can go there."""
        ...


def name_of(target: Target) -> str:
    """Return how a target is written: `provider/model`."""
    return f"{target.provider.name}/{target.model.name}"
