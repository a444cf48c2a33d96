"""Reading a chat completion: only what governs it; the rest goes through as it came."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from watchkeeper.core.digest import parse
from watchkeeper.core.errors import Invalid
from watchkeeper.decide.gates.contract import PROMPT
from watchkeeper.gateways.model.errors import ModelError
from watchkeeper.gateways.model.route import Route
from watchkeeper.wire.base import NAME
from watchkeeper.wire.decisions import LARGEST_USAGE, Ask, Usage

DEFAULT_OUTPUT_TOKENS = 1024
"""The ceiling for callers that set none: what is reserved must also be what can be spent."""
_BYTES_PER_TOKEN = 3
_MOST_CHOICES = 128
_NAME = re.compile(NAME)
_INSTRUCTS = frozenset({"system", "developer"})
_LOCAL_TOOLS = frozenset({"function", "custom"})
_LEADING_ON = frozenset({"models", "fallbacks", "plugins"})
"""Members by which routers at providers take other models, or run tools, than were asked for."""


class _Tool(msgspec.Struct):
    type: str = ""


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
    tools: list[_Tool] | None = None
    web_search_options: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Role(msgspec.Struct):
    role: str = ""


_governed = msgspec.json.Decoder(_Governed)
_GOVERNED = frozenset(_Governed.__struct_fields__)
_role = msgspec.json.Decoder(_Role)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Completion:
    """One chat completion that an agent asks for."""

    model: str
    members: dict[str, msgspec.Raw]
    digest: str
    size: int
    messages: list[msgspec.Raw]
    stream: bool
    wants_usage: bool
    choices: int
    limit_name: str
    limit: int | None
    """The caller's own ceiling on output tokens, per choice."""

    @property
    def input_tokens(self) -> int:
        """An estimate from above for most texts: three bytes a token."""
        return -(-self.size // _BYTES_PER_TOKEN)

    def prompt_digest(self) -> str | None:
        """Return the digest of its system message's text; None where it has none.

        Of several, all texts count, an empty line between them: a second one can't hide
        behind the first. Raises `ModelError` for a message that can't be read.
        """
        try:
            texts = [
                text for message in self.messages if (text := _instruction(message)) is not None
            ]
        except (Invalid, TypeError) as error:
            raise _malformed(f"its messages can't be read: {str(error)[:200]}") from None
        if not texts:
            return None
        return "sha256:" + hashlib.sha256("\n\n".join(texts).encode()).hexdigest()

    def output_tokens(self, route: Route | None) -> int:
        """Return the ceiling on output tokens per choice: the caller's own, or a default."""
        room = route.context_window - self.input_tokens if route else DEFAULT_OUTPUT_TOKENS
        return min(self.limit if self.limit is not None else DEFAULT_OUTPUT_TOKENS, max(1, room))

    def ask(self, route: Route | None, *, templates: bool = False) -> Ask:
        """Return the action: what it may cost at most, and a digest of what it says.

        `templates`: whether it matters if its prompt is a reviewed one.
        """
        ceiling = self.output_tokens(route) * self.choices
        cost = route.most_micros(self.input_tokens, ceiling) if route else 0
        if max(ceiling, cost) > LARGEST_USAGE:
            raise _malformed("it may use more than any one call may: ask for fewer tokens")
        return Ask(
            kind="model",
            name=self.model,
            fulfils=("route", "max_output_tokens"),
            arguments={
                "body": self.digest,
                "messages": len(self.messages),
                "max_output_tokens": ceiling,
                "stream": self.stream,
                **({PROMPT: self.prompt_digest()} if templates else {}),
            },
            estimate=Usage(
                input_tokens=self.input_tokens,
                output_tokens=ceiling,
                cost_micros=cost,
            ),
        )

    def forwarded(self, route: Route, ceiling: int) -> bytes:
        """Return the body for the provider: its model name, the ceiling, usage in the stream."""
        members: dict[str, Any] = dict(self.members)
        members["model"] = route.provider_model
        members[self.limit_name] = ceiling
        if self.stream:
            options: dict[str, Any] = {}
            if "stream_options" in members and bytes(members["stream_options"]) != b"null":
                options = dict(_members.decode(members["stream_options"]))
            members["stream_options"] = {**options, "include_usage": True}
        return msgspec.json.encode(members)


def read_completion(body: bytes) -> Completion:
    """Return what a body asks for; raise `ModelError` for what is malformed or never passed."""
    try:
        body.decode()
        governed = _governed.decode(body)
        members = _members.decode(body)
    except (UnicodeDecodeError, msgspec.MsgspecError, RecursionError) as error:
        raise _malformed(f"the body is no chat completion: {str(error)[:200]}") from None
    choices = governed.n if governed.n is not None else 1
    limit_name = "max_tokens"
    limit = governed.max_tokens
    if governed.max_completion_tokens is not None:
        limit_name, limit = "max_completion_tokens", governed.max_completion_tokens
        members.pop("max_tokens", None)
    if not 1 <= choices <= _MOST_CHOICES:
        raise _malformed(f"n must be between 1 and {_MOST_CHOICES}")
    if limit is not None and limit < 1:
        raise _malformed(f"{limit_name} must be at least 1")
    _refuse_other_readings(members)
    _refuse_remote_tools(governed)
    if _NAME.fullmatch(governed.model) is None:
        raise unknown_model(governed.model)
    options = governed.stream_options
    return Completion(
        model=governed.model,
        members=members,
        digest="sha256:" + hashlib.sha256(body).hexdigest(),
        size=len(body),
        messages=governed.messages,
        stream=bool(governed.stream),
        wants_usage=bool(options and options.include_usage),
        choices=choices,
        limit_name=limit_name,
        limit=limit,
    )


def unknown_model(name: str) -> ModelError:
    """Return the error for a model that nobody serves."""
    return ModelError(
        404,
        "invalid_request_error",
        "model_not_found",
        f"the model {name[:80]!r} is not one that this plane serves; GET /openai/v1/models "
        "lists those",
    )


def _malformed(message: str) -> ModelError:
    return ModelError(400, "invalid_request_error", "malformed", message)


def _instruction(message: msgspec.Raw) -> str | None:
    """Return the text of a message that instructs the model; None for one that does not.

    Raises `Invalid` for one that a provider could read otherwise, `TypeError` for one whose
    instructions are more than text.
    """
    said = parse(bytes(message))
    if not isinstance(said, dict) or not _is_plain(said, ("role", "content")):
        raise Invalid("a message is an object with `role` and `content`")
    if str(said.get("role")).strip().casefold() not in _INSTRUCTS:
        return None
    content = said.get("content")
    parts = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
    for part in parts:
        if not isinstance(part, dict) or part.get("type", "text") != "text":
            raise TypeError("instructions are text")
        if not _is_plain(part, ("type", "text")) or not isinstance(part.get("text"), str):
            raise TypeError("instructions are text")
    return "".join(part["text"] for part in parts)


def _is_plain(said: Iterable[str], names: Collection[str]) -> bool:
    """Whether no member is one of `names` but for its case: some readers overlook that."""
    return not any(key not in names and key.casefold() in names for key in said)


def _refuse_other_readings(members: Mapping[str, msgspec.Raw]) -> None:
    """What a provider could read otherwise than the plane would pass it ungoverned."""
    if not _is_plain(members, _GOVERNED):
        raise _malformed("a member is written in other case than the API has it")
    leading = sorted(_LEADING_ON.intersection(map(str.casefold, members)))
    if leading:
        raise ModelError(
            403,
            "watchkeeper_denied",
            "denied",
            f"DENIED by rule gateway/leading-on: {', '.join(leading)} would have others answer "
            "than the model that is asked for. Allowed instead: the same call without.",
            rule="gateway/leading-on",
        )
    try:
        tools = parse(bytes(members["tools"])) if "tools" in members else None
    except Invalid as error:
        raise _malformed(f"its tools can't be read: {error.message[:200]}") from None
    if not all(_is_plain(tool, ("type",)) for tool in tools or ()):
        raise _malformed("a tool's `type` is written in other case than the API has it")


def _refuse_remote_tools(governed: _Governed) -> None:
    """A tool that the provider runs by itself would act past every gate."""
    kinds = sorted({tool.type for tool in governed.tools or ()} - _LOCAL_TOOLS)
    if governed.web_search_options is not msgspec.UNSET:
        kinds.append("web_search_options")
    if kinds:
        raise ModelError(
            403,
            "watchkeeper_denied",
            "denied",
            f"DENIED by rule gateway/remote-tools: {', '.join(kinds)[:200]} would run at the "
            "provider, past the plane. Allowed instead: function tools, performed through /mcp.",
            rule="gateway/remote-tools",
        )
