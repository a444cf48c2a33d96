"""``/responses``, as OpenAI and some other providers speak it.

https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from watchkeeper.core.digest import parse
from watchkeeper.core.errors import Invalid
from watchkeeper.gateways.model.dialect import Dialect, HostedTool, ModelCall
from watchkeeper.gateways.model.dialects.attachments import Attached, read_items
from watchkeeper.gateways.model.dialects.openai_tools import (
    chosen,
    hosted_tools,
    read_tools,
    searching,
    server_name,
    take_out,
    without_tools,
)
from watchkeeper.gateways.model.dialects.reading import (
    NOTHING,
    PROTOCOL_TOKENS,
    Members,
    check_name,
    check_template,
    check_tier,
    digest_of,
    instruction,
    is_given,
    parsed,
    prompt_digest,
    put_beside,
    read_governed,
)
from watchkeeper.gateways.model.dialects.responses_meter import ResponsesMeter, text_of
from watchkeeper.gateways.model.dialects.shapes import RESPONSES_ERRORS
from watchkeeper.gateways.model.errors import ErrorShape, ModelError, malformed, never_passed
from watchkeeper.wire.models import Endpoint
from watchkeeper.wire.models import Protocol as ProviderProtocol

_PROMPT = HostedTool("hosted.prompt")
"""Instructions and tools that lie at the provider, where nobody here sees them."""
_ELSEWHERE = ("previous_response_id", "conversation", "prompt")


class _Reasoning(msgspec.Struct):
    effort: str | None = None


class _Governed(msgspec.Struct):
    model: str
    input: msgspec.Raw = NOTHING
    instructions: str | None = None
    stream: bool | None = None
    background: bool | None = None
    store: bool | None = None
    max_output_tokens: int | None = None
    tools: msgspec.Raw = NOTHING
    tool_choice: msgspec.Raw = NOTHING
    previous_response_id: msgspec.Raw = NOTHING
    conversation: msgspec.Raw = NOTHING
    prompt: msgspec.Raw = NOTHING
    reasoning: _Reasoning | None = None
    service_tier: str | None = None


_governed = msgspec.json.Decoder(_Governed)
_items = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Response:
    """One response that an agent asks for."""

    model: str
    members: Members
    digest: str
    size: int
    items: list[msgspec.Raw]
    """Its input; empty where that is a text."""
    instructions: str | None
    stream: bool
    asked_output_tokens: int | None
    attached: Attached
    hosted_tools: tuple[HostedTool, ...]
    elsewhere: bool
    """Whether what came before lies at the provider."""
    thinks: bool
    kept: bool
    """Whether an answer that another call had may be given."""

    writes_cache = True
    """OpenAI keeps input by itself, and bills that for some models."""

    @property
    def messages(self) -> int:
        """Count its items."""
        return max(1, len(self.items))

    @property
    def choices(self) -> int:
        """One: the protocol has no more."""
        return 1

    def headers_for(self, context_window: int) -> Mapping[str, str]:
        """Return nothing: the body says it all."""
        return {}

    def most_input_tokens(self, context_window: int, without: frozenset[str] = frozenset()) -> int:
        """Return a bound that no tokenizer passes."""
        if self.elsewhere or any(tool.name not in without for tool in self.hosted_tools):
            return context_window
        return self.attached.most_tokens(self.size + PROTOCOL_TOKENS, context_window)

    def likely_input_tokens(self) -> int:
        """Return an estimate from above for most texts: three bytes a token."""
        return self.attached.likely_tokens(self.size)

    def prompt_digest(self) -> str | None:
        """Return the digest of its instructions, the system and developer messages among them;
        raise `ModelError` where they have two readings, or lie at the provider.
        """
        if self.elsewhere:
            raise _unseen(", ".join(_ELSEWHERE))
        check_template(self.members)
        texts = [self.instructions] if self.instructions is not None else []
        try:
            for one in self.items:
                item = parse(bytes(one))
                if isinstance(item, dict) and "role" not in item and "content" not in item:
                    if item.get("type") in (None, "item_reference"):
                        raise _unseen("a reference to an item")
                    continue
                text = instruction(item, ("text", "input_text"))
                texts += [text] if text is not None else []
        except (Invalid, TypeError) as error:
            raise malformed(f"its input can't be read: {str(error)[:200]}") from None
        return prompt_digest(texts)

    def forwarded(
        self, provider_model: str, ceiling: int | None, without: frozenset[str] = frozenset()
    ) -> bytes:
        """Return the body for a provider."""
        members: dict[str, Any] = dict(self.members)
        members["model"] = provider_model
        if ceiling is not None:
            members["max_output_tokens"] = ceiling
        if without:
            take_out(members, without)
            if self.attached.tools:
                members["input"] = [without_tools(item, without) for item in self.items]
        return msgspec.json.encode(members)

    def cache_key(self) -> str | None:
        """Return the digest of the body; None where more than the body would matter."""
        if not self.kept or self.elsewhere or self.attached.elsewhere or self.hosted_tools:
            return None
        return self.digest

    def meter(self, most_input: int, most_output: int) -> ResponsesMeter:
        """Return a meter for one answer."""
        return ResponsesMeter(most_input, most_output, thinks=self.thinks)


class _Responses:
    """The dialect of responses."""

    endpoint: Endpoint = "responses"
    protocol: ProviderProtocol = "openai"
    path = "/responses"
    done = b""
    errors: ErrorShape = RESPONSES_ERRORS
    passed_headers = ("x-request-id", "openai-processing-ms")

    def read(self, body: bytes, headers: Mapping[str, str]) -> Response:
        """Read a body; raise `ModelError` for what is malformed or never passed."""
        governed, members = read_governed(body, _governed, "request for a response")
        limit = governed.max_output_tokens
        if limit is not None and limit < 1:
            raise malformed("max_output_tokens must be at least 1")
        if governed.background:
            raise never_passed(
                "gateway/background",
                "a response in the background goes on where nobody sees or stops it",
                "the same call without `background`",
            )
        check_tier(governed.service_tier)
        items = _read_input(governed.input)
        attached = read_items(items)
        hosted = _hosted(governed, attached, members)
        reasoning = governed.reasoning
        return Response(
            model=check_name(governed.model),
            members=members,
            digest=digest_of(body),
            size=len(body),
            items=items,
            instructions=governed.instructions,
            stream=bool(governed.stream),
            asked_output_tokens=limit,
            attached=attached,
            hosted_tools=hosted,
            elsewhere=any(is_given(members.get(name)) for name in _ELSEWHERE),
            thinks=reasoning is not None and reasoning.effort != "none",
            kept=not governed.store,
        )

    def text_of(self, body: bytes, *, streamed: bool = False) -> str | None:
        """Return the words of a complete answer that calls no tool."""
        return text_of(body, streamed=streamed)

    def with_text(self, call: ModelCall, instructions: str, texts: tuple[str, ...]) -> ModelCall:
        """Return the call with answers of others after its input."""
        assert isinstance(call, Response)
        added = put_beside("developer", instructions, texts)
        said = call.items
        text = call.members.get("input")
        if not said and is_given(text):
            said = [msgspec.Raw(b'{"role":"user","content":' + bytes(text or b"") + b"}")]
        items = [*said, *added]
        return replace(
            call,
            items=items,
            members={**call.members, "input": msgspec.Raw(msgspec.json.encode(items))},
            size=call.size + sum(len(bytes(one)) + 1 for one in added) + 64,
        )


RESPONSES: Dialect = _Responses()


def _unseen(what: str) -> ModelError:
    return never_passed(
        "gateway/instructions-elsewhere",
        f"{what} may bring instructions that nobody here has seen, and its contract names the "
        "prompts that it may send",
        "the whole conversation in `input`",
    )


def _read_input(said: msgspec.Raw) -> list[msgspec.Raw]:
    raw = bytes(said).lstrip()
    if not is_given(said) or raw[:1] == b'"':
        return []
    try:
        return _items.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        raise malformed("`input` is a text or a list of items") from None


def _hosted(governed: _Governed, attached: Attached, members: Members) -> tuple[HostedTool, ...]:
    """Return what the provider would run: such tools are actions, each for the contract."""
    found: dict[str, HostedTool] = {}
    if is_given(governed.tools):
        members["tools"], found = read_tools(governed.tools)
    for tools in attached.tools:
        for name, one in hosted_tools(parsed(tools, "tools")).items():
            if found.setdefault(name, one) != one:
                raise malformed(f"{name} is named twice, with different addresses")
    if (search := searching(members)) is not None:
        found.setdefault(search.name, search)
    for name, one in chosen(parsed(governed.tool_choice, "tool_choice")).items():
        found.setdefault(name, one)
    known = {name for name in found if name.startswith("hosted.mcp.")}
    for request in attached.approved:
        label = attached.requested.get(request)
        if not known or (label is not None and server_name(label) not in known):
            raise never_passed(
                "gateway/approval-response",
                "mcp_approval_response approves a call of a tool server that the call's own "
                "`tools` do not name",
                "the same call with the tool server in `tools`",
            )
    if is_given(governed.prompt):
        found[_PROMPT.name] = _PROMPT
    return tuple(found.values())
