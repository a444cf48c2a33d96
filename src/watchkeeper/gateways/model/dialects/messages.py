"""``/v1/messages`` and ``/v1/messages/count_tokens``, as Anthropic's clients speak them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from watchkeeper.gateways.model.dialect import Dialect, HostedTool, ModelCall
from watchkeeper.gateways.model.dialects.anthropic_shapes import ANTHROPIC_ERRORS
from watchkeeper.gateways.model.dialects.content import Content, is_text, read_content, text_in
from watchkeeper.gateways.model.dialects.message_members import (
    ceiling_in,
    flag_in,
    list_in,
    name_in,
    read_members,
)
from watchkeeper.gateways.model.dialects.messages_meter import MessagesMeter, TokenCount, text_of
from watchkeeper.gateways.model.dialects.reading import (
    PROTOCOL_TOKENS,
    check_name,
    digest_of,
    likely_tokens,
    numbered,
    prompt_digest,
)
from watchkeeper.gateways.model.dialects.server_tools import (
    betas_within,
    described_tokens,
    hosted_tools,
    passed_betas,
    take_out,
)
from watchkeeper.gateways.model.errors import ErrorShape, malformed, never_passed
from watchkeeper.wire.models import Endpoint
from watchkeeper.wire.models import Protocol as ProviderProtocol

_SHOWN = 80
_MARK = b"cache_control"
_ESCAPED_ASCII = b"\\u00"
_IMAGE_TOKENS = 8192
"""Images are scaled to 4784 tokens at most (…/build-with-claude/vision), however few bytes."""
_LIKELY_IMAGE_TOKENS = 1600
_LEAST_THOUGHT = 1024
_VERSION = "2023-06-01"
_VERSION_HEADER, _BETA_HEADER = "anthropic-version", "anthropic-beta"


@dataclass(frozen=True, slots=True)
class Messages:
    """One call of a model, or of its counting of tokens."""

    model: str
    members: Mapping[str, Any]
    digest: str
    size: int
    messages: int
    stream: bool
    asked_output_tokens: int
    content: Content
    hosted_tools: tuple[HostedTool, ...]
    headers: Mapping[str, str]
    counts: bool
    """Whether it asks for the number of its tokens only, which costs nothing."""
    writes_cache: bool
    """Whether it marks what to keep (…/build-with-claude/prompt-caching), or lets the provider
    ask the model again, or holds what can't be seen here.
    """

    @property
    def choices(self) -> int:
        """One: the protocol has no more."""
        return 1

    def headers_for(self, context_window: int) -> Mapping[str, str]:
        """Return the version and the beta features, but for one that widens the window beyond
        what its provider's document says.
        """
        asked = self.headers.get(_BETA_HEADER)
        if asked is None:
            return self.headers
        betas = betas_within(asked, context_window)
        rest = {name: said for name, said in self.headers.items() if name != _BETA_HEADER}
        return {**rest, _BETA_HEADER: betas} if betas else rest

    def most_input_tokens(self, context_window: int, without: frozenset[str] = frozenset()) -> int:
        """Return a bound that no tokenizer passes."""
        if self.counts:
            return 0
        if self.content.elsewhere or any(one.name not in without for one in self.hosted_tools):
            return context_window
        bound = self.size + PROTOCOL_TOKENS + _IMAGE_TOKENS * self.content.images
        bound += described_tokens([*self.members.get("tools", ()), *self.content.tools])
        return min(bound, context_window)

    def likely_input_tokens(self) -> int:
        """Return what its input probably comes to."""
        if self.counts:
            return 0
        text = likely_tokens(self.size - self.content.image_bytes)
        return text + _LIKELY_IMAGE_TOKENS * self.content.images

    def prompt_digest(self) -> str | None:
        """Return the digest of `system` and of messages that instruct; None without any. Raise
        `ModelError` where more than text instructs.
        """
        system = self.members.get("system")
        if self.content.instructs_by_more or not is_text(system):
            raise malformed("instructions are text, where its contract names its prompts")
        own = [text_in(system)] if system is not None else []
        return prompt_digest([*own, *self.content.instructions])

    def forwarded(
        self, provider_model: str, ceiling: int | None, without: frozenset[str] = frozenset()
    ) -> bytes:
        """Return the body for a provider; thoughts are cut down with the ceiling."""
        members = {**self.members, "model": provider_model}
        if not self.counts and ceiling is not None and ceiling < self.asked_output_tokens:
            members["max_tokens"] = ceiling
            _fit_thinking(members, ceiling)
        if without:
            take_out(members, without)
        return msgspec.json.encode(members)

    def cache_key(self) -> str | None:
        """Return a digest of all that goes to the provider; None where more would matter."""
        if self.counts or self.content.elsewhere or self.hosted_tools:
            return None
        key = hashlib.sha256(msgspec.json.encode(dict(self.headers), order="sorted"))
        key.update(msgspec.json.encode(self.members, order="sorted"))
        return key.hexdigest()

    def meter(self, most_input: int, most_output: int) -> MessagesMeter | TokenCount:
        """Return a meter for one answer."""
        return TokenCount() if self.counts else MessagesMeter(most_input, most_output)


class _Messages:
    """The dialect of messages, or of counting their tokens."""

    protocol: ProviderProtocol = "anthropic"
    done = b""
    errors: ErrorShape = ANTHROPIC_ERRORS
    passed_headers = ("request-id",)

    def __init__(self, endpoint: Endpoint, path: str) -> None:
        self.endpoint = endpoint
        self.path = path

    def read(self, body: bytes, headers: Mapping[str, str]) -> Messages:
        """Read a body; raise `ModelError`."""
        members = read_members(body)
        counts = self.endpoint == "count_tokens"
        messages = members.get("messages")
        if not isinstance(messages, list):
            raise malformed("messages is a list")
        text_in(members.get("system"))  # it must be one
        content = read_content(messages)
        tools, servers = list_in(members, "tools"), list_in(members, "mcp_servers")
        hosted = hosted_tools([*tools, *content.tools], servers, members.get("container"))
        if hosted_tools(content.tools, (), None):
            raise never_passed(
                "gateway/remote-tools",
                "a tool that runs at the provider is added in the midst of messages",
                "tools of the provider in `tools`, where the contract allows them",
            )
        if members.get("container") is not None:
            content.elsewhere = True
        return Messages(
            model=check_name(name_in(members, "model")),
            members=members,
            digest=digest_of(body),
            size=len(body),
            messages=len(messages),
            stream=not counts and flag_in(members, "stream"),
            asked_output_tokens=0 if counts else ceiling_in(members),
            content=content,
            hosted_tools=hosted,
            headers=_passed(headers, hosted),
            counts=counts,
            writes_cache=bool(hosted) or content.elsewhere or _marks(body, members),
        )

    def text_of(self, body: bytes, *, streamed: bool = False) -> str | None:
        """Return the words of a complete answer that calls no tool."""
        return text_of(body, streamed=streamed)

    def with_text(self, call: ModelCall, instructions: str, texts: tuple[str, ...]) -> ModelCall:
        """Return the call with answers of others after its messages."""
        assert isinstance(call, Messages)
        system = call.members.get("system") or []
        if isinstance(system, str):
            system = [{"type": "text", "text": system}]
        parts = [{"type": "text", "text": text} for text in numbered(texts)]
        beside = {"role": "user", "content": parts}
        told = {"type": "text", "text": instructions}
        return replace(
            call,
            members={
                **call.members,
                "system": [*system, told],
                "messages": [*call.members["messages"], beside],
            },
            size=call.size + len(msgspec.json.encode([beside, told])) + 64,
        )


MESSAGES: Dialect = _Messages("messages", "/v1/messages")
COUNT_TOKENS: Dialect = _Messages("count_tokens", "/v1/messages/count_tokens")


def _marks(body: bytes, members: Mapping[str, Any]) -> bool:
    """Tell whether a body may mark what its provider is to keep; a text that speaks of it counts
    too. Names may be written in escapes, which a body of others seldom has.
    """
    if _MARK in body.lower():
        return True
    return _ESCAPED_ASCII in body and _MARK in msgspec.json.encode(members).lower()


def _fit_thinking(members: dict[str, Any], ceiling: int) -> None:
    """Thoughts stay below a lowered ceiling; where too little is left, the model does not think."""
    thinking = members.get("thinking")
    budget = thinking.get("budget_tokens") if thinking else None
    if not isinstance(budget, int) or budget < ceiling:
        return
    if ceiling > _LEAST_THOUGHT:
        members["thinking"] = {**members["thinking"], "budget_tokens": ceiling - 1}
    else:
        members["thinking"] = {"type": "disabled"}


def _passed(headers: Mapping[str, str], hosted: Sequence[HostedTool]) -> Mapping[str, str]:
    passed = {_VERSION_HEADER: headers.get(_VERSION_HEADER, _VERSION)[:_SHOWN]}
    betas = passed_betas(headers.get(_BETA_HEADER, "")[:4096], hosted)
    return {**passed, _BETA_HEADER: betas} if betas else passed
