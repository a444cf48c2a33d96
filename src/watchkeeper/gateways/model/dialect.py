"""What the gateway must know of each protocol that models are called in.

A dialect reads a body into a call, of which it shows only what governs it; everything else goes
through as it came. The endpoint, the way to providers, the cache and the routes know no protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from watchkeeper.wire.decisions import Usage
from watchkeeper.wire.models import Endpoint
from watchkeeper.wire.models import Protocol as ProviderProtocol


class Meter(Protocol):
    """Counts the tokens of one answer, whole or event by event; knows nothing of prices."""

    @property
    def estimated(self) -> bool:
        """Whether the provider reported no usage, or not all of it."""
        ...

    @property
    def done(self) -> bool:
        """Whether the stream said that it is complete."""
        ...

    @property
    def failure(self) -> str | None:
        """What the provider said went wrong within an answer that began well."""
        ...

    def take(self, data: bytes, *, whole: bool) -> bool:
        """Count a body or the data of one event; tell whether the caller is to have it."""
        ...

    def usage(self) -> Usage:
        """Return what was used so far, without its cost. Where the provider has not said, the
        input is what was sent and the output what was passed on, counted from above.
        """
        ...


class ModelCall(Protocol):
    """One call of a model, as an agent sent it."""

    model: str
    """The logical model that is named."""
    digest: str
    """SHA-256 of the body as it came."""
    size: int
    """Of the body, in bytes."""
    stream: bool
    asked_output_tokens: int | None
    """The caller's own ceiling on the output of the whole call; None: it set none. 0 for calls
    that generate nothing."""
    choices: int
    hosted_tools: tuple[str, ...]
    """What the provider would run itself: `hosted.web_search`, `hosted.mcp.LABEL` …"""

    def most_input_tokens(self, context_window: int) -> int:
        """Return a bound that no tokenizer passes: a token a byte and what the protocol adds, or
        the whole window where the body refers to what is elsewhere (files, earlier answers).
        """
        ...

    def prompt_digest(self) -> str | None:
        """Return the digest of its instructions' text; None where it has none."""
        ...

    def forwarded(
        self, provider_model: str, ceiling: int | None, without: frozenset[str] = frozenset()
    ) -> bytes:
        """Return the body for a provider: its model, a ceiling on the output of the whole call
        (None: there is nothing to limit), and without some of the hosted tools.
        """
        ...

    def cache_key(self) -> str | None:
        """Return what calls have in common that may have the same answer; None: it must not be
        kept (it refers to what is elsewhere, or asks for no keeping).
        """
        ...

    def meter(self) -> Meter:
        """Return a meter for one answer."""
        ...


class Dialect(Protocol):
    """One endpoint of one protocol."""

    endpoint: Endpoint
    protocol: ProviderProtocol
    path: str
    """Under a provider's base URL, and under the gateway's own prefix."""
    done: bytes
    """What follows the last event of a stream that the plane ends itself, e.g. a kept answer."""

    def read(self, body: bytes, headers: Mapping[bytes, bytes]) -> ModelCall:
        """Read a body; raise `ModelError` for what is malformed or never passed."""
        ...

    def text_of(self, body: bytes) -> str | None:
        """Return the words of a whole answer; None where it says nothing that can be judged."""
        ...

    def with_text(self, call: ModelCall, instructions: str, texts: tuple[str, ...]) -> ModelCall:
        """Return the call with answers of others put beside it, for an adjudicator."""
        ...
