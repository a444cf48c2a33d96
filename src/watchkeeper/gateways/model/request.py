"""Reading a chat completion: only what governs it; the rest goes through as it came."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

import msgspec

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


class _Part(msgspec.Struct):
    type: str = "text"
    text: str = ""


class _Message(msgspec.Struct):
    content: str | list[_Part] | None = None

    def words(self) -> str:
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


_governed = msgspec.json.Decoder(_Governed)
_role = msgspec.json.Decoder(_Role)
_message = msgspec.json.Decoder(_Message)
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
                _message.decode(message).words()
                for message in self.messages
                if _role.decode(message).role in _INSTRUCTS
            ]
        except (msgspec.MsgspecError, RecursionError) as error:
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
        cost = route.cost_micros(self.input_tokens, ceiling) if route else 0
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
