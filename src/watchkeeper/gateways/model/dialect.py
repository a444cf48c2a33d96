"""What the gateway must know of each protocol that models are called in.

A dialect reads a body into a call, of which it shows only what governs it; everything else goes
through as it came. The endpoint, the way to providers, the cache and the routes know no protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from watchkeeper.gateways.model.errors import ErrorShape
from watchkeeper.wire.decisions import Response, Usage
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
        """Whether the stream said that it is complete, well or not."""
        ...

    @property
    def failure(self) -> str | None:
        """Which error the provider named within an answer that began well; never its words."""
        ...

    def take(self, data: bytes, *, whole: bool) -> bool:
        """Count a body or the data of one event; tell whether the caller is to have it.

        Nothing that a provider sends makes it raise.
        """
        ...

    def usage(self) -> Usage:
        """Return what was used so far, without its cost. Where the provider has not said, the
        input is what could be sent at most and the output what was passed on, a token a byte.
        """
        ...

    def response(self) -> Response | None:
        """Return what the provider said of its answer so far, as far as it is names."""
        ...


@dataclass(frozen=True, slots=True)
class HostedTool:
    """A tool that a call lets the provider run by itself."""

    name: str
    """As tool documents and allowlists name it: `hosted.web_search`, `hosted.mcp.LABEL`."""
    server_url: str | None = None
    """Of a tool server that the provider is to call: where it is."""


class ModelCall(Protocol):
    """One call of a model, as an agent sent it."""

    @property
    def model(self) -> str:
        """The logical model that is named."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 of the body as it came: `sha256:` and hex."""
        ...

    @property
    def size(self) -> int:
        """Of the body, in bytes."""
        ...

    @property
    def messages(self) -> int:
        """How many messages, items or texts it brings; shown to approvers."""
        ...

    @property
    def stream(self) -> bool:
        """Whether the answer comes as a stream of events."""
        ...

    @property
    def asked_output_tokens(self) -> int | None:
        """The caller's own ceiling on the output of the whole call (all choices together);
        None: it set none. 0 for calls that generate nothing.
        """
        ...

    @property
    def choices(self) -> int:
        """How many answers it asks for; each needs a token at least. 1 for most."""
        ...

    @property
    def writes_cache(self) -> bool:
        """Whether its provider may keep its input for later calls, which may cost more than
        other input does.
        """
        ...

    @property
    def hosted_tools(self) -> tuple[HostedTool, ...]:
        """What the provider would run itself, each once."""
        ...

    def headers_for(self, context_window: int) -> Mapping[str, str]:
        """Return what goes to a provider as headers beside the plane's own, by lower-case name;
        nothing that makes its model's window larger than what was held for.
        """
        ...

    def most_input_tokens(self, context_window: int, without: frozenset[str] = frozenset()) -> int:
        """Return a bound that no tokenizer passes: a token a byte and what the protocol adds,
        never more than the window; the whole window where the body refers to what is elsewhere
        (files, earlier answers), or lets the provider run tools other than those it goes without.
        """
        ...

    def likely_input_tokens(self) -> int:
        """Return what its input probably comes to, somewhat from above: what policies and
        windows look at, never budgets.
        """
        ...

    def prompt_digest(self) -> str | None:
        """Return the digest of its instructions' text; None where it has none."""
        ...

    def forwarded(
        self, provider_model: str, ceiling: int | None, without: frozenset[str] = frozenset()
    ) -> bytes:
        """Return the body for a provider: its model, a ceiling on the output of the whole call
        (None: there is nothing to limit), and without some of the hosted tools, by name.
        """
        ...

    def cache_key(self) -> str | None:
        """Return what calls have in common that may have the same answer; None: it must not be
        kept (it refers to what is elsewhere, or asks for no keeping).
        """
        ...

    def meter(self, most_input: int, most_output: int) -> Meter:
        """Return a meter for one answer, with the bounds that count where nobody says more."""
        ...


class Dialect(Protocol):
    """One endpoint of one protocol."""

    @property
    def endpoint(self) -> Endpoint:
        """Its name, in provider documents and records."""
        ...

    @property
    def protocol(self) -> ProviderProtocol:
        """Which providers speak it."""
        ...

    @property
    def path(self) -> str:
        """Under a provider's base URL, and under the surface's own prefix."""
        ...

    @property
    def done(self) -> bytes:
        """What follows the last event of a stream that the plane ends itself after an answer
        that is complete.
        """
        ...

    @property
    def errors(self) -> ErrorShape:
        """How its clients read errors."""
        ...

    @property
    def passed_headers(self) -> tuple[str, ...]:
        """Which of a provider's headers its callers get, by lower-case name."""
        ...

    def read(self, body: bytes, headers: Mapping[str, str]) -> ModelCall:
        """Read a body, with the request's headers by lower-case name; raise `ModelError` for
        what is malformed or never passed.
        """
        ...

    def text_of(self, body: bytes, *, streamed: bool = False) -> str | None:
        """Return the words of a complete answer, a body or all events of a stream; None where
        it says nothing that can be judged: it calls tools, has several choices, or broke off.
        """
        ...

    def with_text(self, call: ModelCall, instructions: str, texts: tuple[str, ...]) -> ModelCall:
        """Return the call with answers of others put beside it, for an adjudicator."""
        ...


@dataclass(frozen=True, slots=True)
class Surface:
    """What the clients of one protocol find under one prefix of the plane's address."""

    prefix: str
    """The part of the base URL that they are given, without a closing slash."""
    protocol: ProviderProtocol
    dialects: tuple[Dialect, ...]
    errors: ErrorShape
    """For what fails before its dialect is known."""
    models_path: str
    """Under the prefix: where the models are listed, and each shown below by its name."""
    list_models: Callable[[Sequence[str]], bytes]
    show_model: Callable[[str], bytes]
    token: Callable[[Mapping[str, str]], str]
    """Returns the run token out of the headers; raises `Unauthenticated` when there is none."""
    unserved: Mapping[tuple[str, str], str]
    """Method and start of a path that its clients know and that is not served → why not, and
    what to do."""
