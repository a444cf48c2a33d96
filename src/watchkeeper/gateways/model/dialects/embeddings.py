"""``/embeddings``: only input is paid for, of each text no more than the model's window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from watchkeeper.gateways.model.dialect import Dialect, HostedTool, ModelCall
from watchkeeper.gateways.model.dialects.counting import ReportMeter
from watchkeeper.gateways.model.dialects.reading import (
    NOTHING,
    Members,
    check_name,
    digest_of,
    is_given,
    likely_tokens,
    read_governed,
)
from watchkeeper.gateways.model.dialects.shapes import CHAT_ERRORS
from watchkeeper.gateways.model.errors import ErrorShape, malformed
from watchkeeper.wire.models import Endpoint
from watchkeeper.wire.models import Protocol as ProviderProtocol

_TEXT_TOKENS = 64
"""What models put around each text."""
_MOST_INPUTS = 2048
_MOST_TOKENS = 400_000
"""Of all texts that come as tokens; OpenAI takes 300,000."""


class _Governed(msgspec.Struct):
    model: str
    input: str | list[str | int | list[int]]


class _Answer(msgspec.Struct):
    model: msgspec.Raw = NOTHING
    usage: msgspec.Raw = NOTHING


_governed = msgspec.json.Decoder(_Governed)
_answer = msgspec.json.Decoder(_Answer)


@dataclass(frozen=True, slots=True)
class Embedding:
    """Texts that an agent wants numbers for."""

    model: str
    members: Members
    digest: str
    size: int
    messages: int
    """How many texts."""
    longest: int
    """What the longest of them probably comes to, in tokens."""

    stream = False
    choices = 1
    writes_cache = True
    asked_output_tokens = 0
    hosted_tools: tuple[HostedTool, ...] = ()

    def headers_for(self, context_window: int) -> Mapping[str, str]:
        """Return nothing: the body says it all."""
        return {}

    def most_input_tokens(self, context_window: int, without: frozenset[str] = frozenset()) -> int:
        """Return a bound that no tokenizer passes: the window is each text's own."""
        bound = self.size + _TEXT_TOKENS * self.messages
        return min(bound, context_window * self.messages)

    def likely_input_tokens(self) -> int:
        """Return what the longest text probably comes to: each has a window of its own."""
        return self.longest

    def prompt_digest(self) -> str | None:
        """Return None: nothing instructs."""
        return None

    def forwarded(
        self, provider_model: str, ceiling: int | None, without: frozenset[str] = frozenset()
    ) -> bytes:
        """Return the body for a provider."""
        members: dict[str, Any] = {**self.members, "model": provider_model}
        return msgspec.json.encode(members)

    def cache_key(self) -> str | None:
        """Return the digest of the body."""
        return self.digest

    def meter(self, most_input: int, most_output: int) -> EmbeddingMeter:
        """Return a meter for one answer."""
        return EmbeddingMeter(most_input)


class EmbeddingMeter(ReportMeter):
    """Counts what one answer took: nothing is generated."""

    def __init__(self, most_input: int) -> None:
        super().__init__(most_input, 0, embeds=True)
        self.done = True

    def take(self, data: bytes, *, whole: bool) -> bool:
        """Count; the caller has all of it."""
        try:
            said = _answer.decode(data)
        except (msgspec.MsgspecError, RecursionError):
            return True
        self.naming.begin(NOTHING, said.model)
        if is_given(said.usage):
            self.report(said.usage)
        return True


class _Embeddings:
    """The dialect of embeddings."""

    endpoint: Endpoint = "embeddings"
    protocol: ProviderProtocol = "openai"
    path = "/embeddings"
    done = b""
    errors: ErrorShape = CHAT_ERRORS
    passed_headers = ("x-request-id", "openai-processing-ms")

    def read(self, body: bytes, headers: Mapping[str, str]) -> Embedding:
        """Read a body; raise `ModelError` for what is malformed or never passed."""
        governed, members = read_governed(
            body, _governed, "request for embeddings", most_values=_MOST_TOKENS
        )
        said = governed.input
        inputs: list[str | int | list[int]] = [*said] if isinstance(said, list) else [said]
        if inputs and all(isinstance(one, int) for one in inputs):
            inputs = [[one for one in inputs if isinstance(one, int)]]
        if not 1 <= len(inputs) <= _MOST_INPUTS or len({type(one) for one in inputs}) > 1:
            raise malformed(
                f"`input` is a text, a list of up to {_MOST_INPUTS} texts, or tokens likewise"
            )
        return Embedding(
            model=check_name(governed.model),
            members=members,
            digest=digest_of(body),
            size=len(body),
            messages=len(inputs),
            longest=max(_likely(one) for one in inputs),
        )

    def text_of(self, body: bytes, *, streamed: bool = False) -> str | None:
        """Return None: numbers can't be judged."""
        return None

    def with_text(self, call: ModelCall, instructions: str, texts: tuple[str, ...]) -> ModelCall:
        """Raise `TypeError`: there are no answers to combine."""
        raise TypeError("embeddings are not combined")


EMBEDDINGS: Dialect = _Embeddings()


def _likely(said: str | int | list[int]) -> int:
    if isinstance(said, str):
        return likely_tokens(len(said.encode()))
    return len(said) if isinstance(said, list) else 1
