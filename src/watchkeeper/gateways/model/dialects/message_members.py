"""The members of a call of Anthropic's protocol: those that the plane knows, as it reads them.

https://platform.claude.com/docs/en/api/messages. The API refuses members that it does not know,
and so does the plane: what a new one would let the provider do is not known here either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from watchkeeper.core.digest import check_values
from watchkeeper.core.errors import Invalid
from watchkeeper.gateways.model.dialects.content import object_of
from watchkeeper.gateways.model.dialects.reading import is_plain
from watchkeeper.gateways.model.errors import malformed, never_passed

_MEMBERS = frozenset(
    {
        "model",
        "messages",
        "max_tokens",
        "stream",
        "system",
        "tools",
        "tool_choice",
        "temperature",
        "top_p",
        "top_k",
        "stop_sequences",
        "metadata",
        "thinking",
        "output_config",
        "output_format",
        "service_tier",
        "cache_control",
        "context_management",
        "container",
        "mcp_servers",
        "diagnostics",
        "speed",
    }
)
_WHY_NOT = {
    "fallbacks": "others would answer than the model that is asked for",
    "fallback_credit_token": "it goes on with a call that another model began",
    "thread": "the provider would keep the conversation",
    "compaction": "the provider would generate more than the call's ceiling",
    "inference_geo": "its provider's document says where a call is processed",
    "billing_policy": "another than the plane's own account would pay",
    "speed": "fast mode has other prices than the model",
    "context_management": "the provider would generate more than the call's ceiling",
}
_SHOWN = 80
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def read_members(body: bytes) -> dict[str, Any]:
    """Return a body's members, all of which the plane knows; raise `ModelError`.

    What goes on is written anew from these, so that no provider reads a member that is there
    twice otherwise.
    """
    try:
        check_values(body.decode())
        members = _decode(body)
    except (UnicodeDecodeError, Invalid, msgspec.MsgspecError, RecursionError) as error:
        raise malformed(f"the body is no call of messages: {str(error)[:200]}") from None
    members = {name: value for name, value in members.items() if value is not None}
    if not is_plain(members, _MEMBERS):
        raise malformed("a member is written in other case than the API has it")
    edits = members.get("context_management")
    refused = [name for name in members if name not in _MEMBERS]
    if members.get("speed") not in (None, "standard"):
        refused.append("speed")
    if edits is not None and not _only_clears(edits):
        refused.append("context_management")
    if refused:
        unknown = "the plane does not know what it would let the provider do"
        name = refused[0]
        raise never_passed(
            "gateway/unknown-members",
            f"{name[:_SHOWN]!r}: {_WHY_NOT.get(name, unknown)}",
            "the same call without it",
        )
    return members


def _only_clears(said: object) -> bool:
    """Whether what becomes of the context only makes it shorter."""
    management = object_of(said, ("edits",), "context_management")
    edits = management.get("edits") or []
    return isinstance(edits, list) and all(
        str(object_of(edit, ("type",), "an edit").get("type")).startswith("clear_")
        for edit in edits
    )


def list_in(members: Mapping[str, Any], name: str) -> Sequence[Any]:
    """Return a member that is a list, empty where there is none; raise `ModelError`."""
    value = members.get(name, [])
    if not isinstance(value, list):
        raise malformed(f"{name} is a list")
    return value


def name_in(members: Mapping[str, Any], name: str) -> str:
    """Return a member that is a text; raise `ModelError`."""
    value = members.get(name)
    if not isinstance(value, str):
        raise malformed(f"{name} is a text")
    return value


def flag_in(members: Mapping[str, Any], name: str) -> bool:
    """Return a member that is true or false; raise `ModelError`."""
    value = members.get(name, False)
    if not isinstance(value, bool):
        raise malformed(f"{name} is true or false")
    return value


def ceiling_in(members: Mapping[str, Any]) -> int:
    """Return the ceiling on output, which thinking must stay below; raise `ModelError`."""
    value = members.get("max_tokens")
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise malformed("max_tokens is a whole number, and every call has one")
    thinking = members.get("thinking")
    if thinking is not None:
        object_of(thinking, ("type", "budget_tokens"), "thinking")
    return value
