"""``/chat/completions``, as OpenAI and most other providers speak it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from watchkeeper.core.digest import parse
from watchkeeper.core.errors import Invalid
from watchkeeper.gateways.model.dialect import Dialect, HostedTool, ModelCall
from watchkeeper.gateways.model.dialects.attachments import Attached, read_messages
from watchkeeper.gateways.model.dialects.chat_meter import ChatMeter, text_of
from watchkeeper.gateways.model.dialects.openai_tools import (
    chosen,
    read_tools,
    searching,
    take_out,
)
from watchkeeper.gateways.model.dialects.reading import (
    MOST_CHOICES,
    NOTHING,
    PROTOCOL_TOKENS,
    Members,
    check_name,
    check_template,
    check_tier,
    digest_of,
    instruction,
    is_given,
    members_of,
    parsed,
    prompt_digest,
    put_beside,
    read_governed,
)
from watchkeeper.gateways.model.dialects.shapes import CHAT_ERRORS
from watchkeeper.gateways.model.errors import ErrorShape, malformed
from watchkeeper.wire.models import Endpoint
from watchkeeper.wire.models import Protocol as ProviderProtocol

_THINKS = re.compile(r"(^|/)(o\d|gpt-[5-9])")
"""Models that refuse `max_tokens`: the other name is newer, and unknown to many providers."""


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Governed(msgspec.Struct):
    model: str
    messages: list[msgspec.Raw]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    tools: msgspec.Raw = NOTHING
    tool_choice: msgspec.Raw = NOTHING
    reasoning_effort: msgspec.Raw = NOTHING
    service_tier: str | None = None
    store: bool | None = None


_governed = msgspec.json.Decoder(_Governed)


class Completion(msgspec.Struct, frozen=True):
    """One chat completion that an agent asks for."""

    model: str
    members: Members
    digest: str
    size: int
    said: list[msgspec.Raw]
    stream: bool
    wants_usage: bool
    choices: int
    limit_name: str | None
    asked_output_tokens: int | None
    attached: Attached
    hosted_tools: tuple[HostedTool, ...]
    thinks: bool
    """Whether it asks for thoughts, which are paid for and may not be shown."""
    kept: bool
    """Whether an answer that another call had may be given."""

    writes_cache = True
    """OpenAI keeps input by itself, and bills that for some models."""

    @property
    def messages(self) -> int:
        """Count them."""
        return len(self.said)

    def headers_for(self, context_window: int) -> Mapping[str, str]:
        """Return nothing: the body says it all."""
        return {}

    def most_input_tokens(self, context_window: int, without: frozenset[str] = frozenset()) -> int:
        """Return a bound that no tokenizer passes."""
        if any(tool.name not in without for tool in self.hosted_tools):
            return context_window
        return self.attached.most_tokens(self.size + PROTOCOL_TOKENS, context_window)

    def likely_input_tokens(self) -> int:
        """Return an estimate from above for most texts: three bytes a token."""
        return self.attached.likely_tokens(self.size)

    def prompt_digest(self) -> str | None:
        """Return the digest of its instructions; raise `ModelError` if they have two readings."""
        check_template(self.members)
        try:
            found = [instruction(parse(bytes(message))) for message in self.said]
        except (Invalid, TypeError) as error:
            raise malformed(f"its messages can't be read: {str(error)[:200]}") from None
        return prompt_digest([text for text in found if text is not None])

    def forwarded(
        self, provider_model: str, ceiling: int | None, without: frozenset[str] = frozenset()
    ) -> bytes:
        """Return the body for a provider, with usage in a stream."""
        members: dict[str, Any] = dict(self.members)
        members["model"] = provider_model
        if ceiling is not None:
            members[self.limit_name or _limit_name(provider_model)] = ceiling // self.choices
        if self.stream:
            options: dict[str, Any] = {}
            if "stream_options" in members and bytes(members["stream_options"]) != b"null":
                options = dict(members_of(members["stream_options"]))
            members["stream_options"] = {**options, "include_usage": True}
        if without:
            take_out(members, without)
        return msgspec.json.encode(members)

    def cache_key(self) -> str | None:
        """Return the digest of the body; None where more than the body would matter."""
        if not self.kept or self.attached.elsewhere or self.hosted_tools:
            return None
        return self.digest

    def meter(self, most_input: int, most_output: int) -> ChatMeter:
        """Return a meter for one answer."""
        hidden = most_output if self.thinks else 0
        return ChatMeter(most_input, hidden, wants_usage=self.wants_usage)


class Chat:
    """The dialect of chat completions."""

    endpoint: Endpoint = "chat_completions"
    protocol: ProviderProtocol = "openai"
    path = "/chat/completions"
    done = b"data: [DONE]\n\n"
    errors: ErrorShape = CHAT_ERRORS
    passed_headers = ("x-request-id", "openai-processing-ms")

    def read(self, body: bytes, headers: Mapping[str, str]) -> Completion:
        """Read a body; raise `ModelError` for what is malformed or never passed."""
        governed, members = read_governed(body, _governed, "chat completion")
        choices = governed.n if governed.n is not None else 1
        limit_name, limit = None, None
        if governed.max_tokens is not None:
            limit_name, limit = "max_tokens", governed.max_tokens
        if governed.max_completion_tokens is not None:
            limit_name, limit = "max_completion_tokens", governed.max_completion_tokens
            members.pop("max_tokens", None)
        if not 1 <= choices <= MOST_CHOICES:
            raise malformed(f"n must be between 1 and {MOST_CHOICES}")
        if limit is not None and limit < 1:
            raise malformed(f"{limit_name} must be at least 1")
        check_tier(governed.service_tier)
        hosted = _hosted(governed, members)
        options = governed.stream_options
        return Completion(
            model=check_name(governed.model),
            members=members,
            digest=digest_of(body),
            size=len(body),
            said=governed.messages,
            stream=bool(governed.stream),
            wants_usage=bool(options and options.include_usage),
            choices=choices,
            limit_name=limit_name,
            asked_output_tokens=limit * choices if limit is not None else None,
            attached=read_messages(governed.messages),
            hosted_tools=hosted,
            thinks=is_given(governed.reasoning_effort)
            and bytes(governed.reasoning_effort) != b'"none"',
            kept=not governed.store,
        )

    def text_of(self, body: bytes, *, streamed: bool = False) -> str | None:
        """Return the words of a complete answer of one choice that calls no tool."""
        return text_of(body, streamed=streamed)

    def with_text(self, call: ModelCall, instructions: str, texts: tuple[str, ...]) -> ModelCall:
        """Return the call with answers of others put beside it."""
        assert isinstance(call, Completion)
        added = put_beside("system", instructions, texts)
        said = [*call.said, *added]
        return msgspec.structs.replace(
            call,
            said=said,
            members={**call.members, "messages": msgspec.Raw(msgspec.json.encode(said))},
            size=call.size + sum(len(bytes(one)) + 1 for one in added),
        )


CHAT: Dialect = Chat()


def _limit_name(provider_model: str) -> str:
    return "max_completion_tokens" if _THINKS.search(provider_model) else "max_tokens"


def _hosted(governed: _Governed, members: Members) -> tuple[HostedTool, ...]:
    """Return what the provider would run: such tools are actions, each for the contract."""
    found: dict[str, HostedTool] = {}
    if is_given(governed.tools):
        members["tools"], found = read_tools(governed.tools)
    for name, one in chosen(parsed(governed.tool_choice, "tool_choice")).items():
        found.setdefault(name, one)
    if (search := searching(members)) is not None:
        found.setdefault(search.name, search)
    return tuple(found.values())
