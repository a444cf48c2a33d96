"""Reading bodies so that a provider can't read them otherwise than the plane."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from typing import Any, TypeVar

import msgspec

from watchkeeper.core.digest import MOST_VALUES, check_values, parse
from watchkeeper.core.errors import Invalid
from watchkeeper.gateways.model.errors import malformed, never_passed, unknown_model
from watchkeeper.wire.base import NAME

Governed = TypeVar("Governed", bound=msgspec.Struct)
Members = dict[str, msgspec.Raw]

MOST_CHOICES = 128
PROTOCOL_TOKENS = 1024
"""What providers put around a call: templates, a system message of their own."""
_BYTES_PER_TOKEN = 3
"""Of most texts there are more."""
_NAME = re.compile(NAME)
_LEADING_ON = frozenset(
    {
        "models",
        "fallbacks",
        "plugins",
        "route",
        "provider",
        "preset",
        "extra_body",
        "api_base",
        "base_url",
        "custom_llm_provider",
        "data_sources",
        "connectors",
    }
)
"""Members by which routers at providers take other models or places, or run tools, than were
asked for.
"""
_CHARGED = {
    "prediction": "what it predicts wrongly is charged as output, beyond any ceiling",
    "best_of": "answers that nobody is given are charged as output, beyond any ceiling",
    "audio": "an answer in sound has prices of its own, which no document says",
    "modalities": "an answer in more than text has prices of its own, which no document says",
}
"""Members that make a call cost more than is held for it → why."""
SEARCHES = frozenset({"web_search_options", "search_parameters", "enable_search"})
"""Members that let providers search the web: OpenAI's, and others' of its protocol
(https://docs.x.ai/docs/guides/live-search).
"""
_NEVER_PLAIN = _LEADING_ON.union(_CHARGED)
_TEXT = b'["text"]'
_TIERS = frozenset({None, "auto", "default", "flex"})
"""Classes of service that cost no more than the price."""
_INSTRUCTS = frozenset({"system", "developer"})
NOTHING = msgspec.Raw()
_SAYS_NOTHING = frozenset({b"", b"null", b'""'})
members_of = msgspec.json.Decoder(Members).decode


def read_governed(
    body: bytes,
    decoder: msgspec.json.Decoder[Governed],
    what: str,
    most_values: int = MOST_VALUES,
) -> tuple[Governed, Members]:
    """Return what governs a body, and all its members as they came; raise `ModelError`."""
    try:
        check_values(body.decode(), most_values)
        governed = decoder.decode(body)
        members = members_of(body)
    except (UnicodeDecodeError, Invalid, msgspec.MsgspecError, RecursionError) as error:
        raise malformed(f"the body is no {what}: {str(error)[:200]}") from None
    if not is_plain(members, governed.__struct_fields__):
        raise malformed("a member is written in other case than the API has it")
    folded = {name.casefold() for name in members}
    if _NEVER_PLAIN.isdisjoint(folded):
        return governed, members
    leading = sorted(_LEADING_ON.intersection(folded))
    if leading:
        raise never_passed(
            "gateway/leading-on",
            f"{', '.join(leading)} would have others answer than the model that is asked for",
            "the same call without",
        )
    for name, why in _CHARGED.items():
        said = next((members[key] for key in members if key.casefold() == name), None)
        if is_given(said) and not _is_usual(name, said):
            raise never_passed("gateway/charges", f"{name}: {why}", f"the same call without {name}")
    return governed, members


def _is_usual(name: str, said: msgspec.Raw | None) -> bool:
    """Tell whether such a member says what holds without it."""
    raw = b"".join(bytes(said or b"").split())
    return (name, raw) in {("modalities", _TEXT), ("best_of", b"1")}


def searches(members: Iterable[str]) -> list[str]:
    """Return the members that let a provider search the web, as they are written."""
    return [name for name in members if name.casefold() in SEARCHES]


def is_given(said: msgspec.Raw | None) -> bool:
    """Tell whether a member says anything."""
    return said is not None and bytes(said).strip() not in _SAYS_NOTHING


def parsed(said: msgspec.Raw | None, what: str) -> Any:
    """Return a member that has one reading, or None; raise `ModelError` for another."""
    if said is None or not is_given(said):
        return None
    try:
        return parse(bytes(said))
    except Invalid as error:
        raise malformed(f"its {what} can't be read: {error.message[:200]}") from None


def check_tier(tier: str | None) -> None:
    """Raise `ModelError` for a class of service whose price nobody has said."""
    if tier not in _TIERS:
        raise never_passed(
            "gateway/service-tier",
            f"service_tier {tier[:40]!r} is charged at prices of its own, which no document says"
            if tier
            else "service_tier is empty",
            "the same call without service_tier",
        )


def check_template(members: Iterable[str]) -> None:
    """Raise `ModelError` where a call brings how its messages become a prompt, as some providers
    let it: whatever its messages say, the prompt may be another.
    """
    if any(name.casefold() == "chat_template" for name in members):
        raise never_passed(
            "gateway/instructions-elsewhere",
            "chat_template may bring instructions, and its contract names the prompts that it may "
            "send",
            "the same call without chat_template",
        )


def check_name(model: str) -> str:
    """Return a logical model's name; raise `ModelError` for what can be none."""
    if _NAME.fullmatch(model) is None:
        raise unknown_model(model)
    return model


def is_plain(said: Iterable[str], names: Collection[str]) -> bool:
    """Whether no member is one of `names` but for its case: some readers overlook that."""
    # a list, not a generator: this is asked of every message of every call
    return not [key for key in said if key not in names and key.casefold() in names]


def likely_tokens(size: int) -> int:
    """Return what a text of so many bytes probably comes to, somewhat from above."""
    return -(-max(0, size) // _BYTES_PER_TOKEN)


def numbered(answers: Iterable[str]) -> list[str]:
    """Return answers of others as an adjudicator is shown them."""
    return [f"Answer {number}:\n\n{answer}" for number, answer in enumerate(answers, 1)]


def put_beside(role: str, instructions: str, answers: Iterable[str]) -> list[msgspec.Raw]:
    """Return messages of OpenAI's protocol that show an adjudicator the answers of others, after
    instructions in a `role`.
    """
    said = [(role, instructions), *(("user", text) for text in numbered(answers))]
    return [msgspec.Raw(msgspec.json.encode({"role": who, "content": what})) for who, what in said]


def digest_of(body: bytes) -> str:
    """Return the digest of a body as it came."""
    return "sha256:" + hashlib.sha256(body).hexdigest()


def instruction(said: Any, kinds: Collection[str] = ("text",)) -> str | None:
    """Return the text of a message that instructs the model; None for one that does not.

    Raises `Invalid` for one that a provider could read otherwise, `TypeError` for one whose
    instructions are more than text.
    """
    if not isinstance(said, dict) or not is_plain(said, ("role", "content")):
        raise Invalid("a message is an object with `role` and `content`")
    if str(said.get("role")).strip().casefold() not in _INSTRUCTS:
        return None
    return text_parts(said.get("content"), kinds)


def text_parts(content: Any, kinds: Collection[str] = ("text",)) -> str:
    """Return the text of a content, a text or parts of some kinds; raise `TypeError` for more."""
    parts = content if isinstance(content, list) else [{"text": content or ""}]
    for part in parts:
        if not isinstance(part, dict) or part.get("type", "text") not in kinds:
            raise TypeError("instructions are text")
        if not is_plain(part, ("type", "text")) or not isinstance(part.get("text"), str):
            raise TypeError("instructions are text")
    return "".join(part["text"] for part in parts)


def prompt_digest(texts: Collection[str]) -> str | None:
    """Return the digest of instructions.

    Of several, all texts count, an empty line between them: a second one can't hide behind the
    first.
    """
    if not texts:
        return None
    return "sha256:" + hashlib.sha256("\n\n".join(texts).encode()).hexdigest()
