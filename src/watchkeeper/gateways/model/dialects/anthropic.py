"""What Anthropic's clients find under ``/anthropic``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from watchkeeper.gateways.http import bearer
from watchkeeper.gateways.model.dialect import Surface
from watchkeeper.gateways.model.dialects.anthropic_shapes import ANTHROPIC_ERRORS
from watchkeeper.gateways.model.dialects.messages import COUNT_TOKENS, MESSAGES

_UNKNOWN_DATE = "1970-01-01T00:00:00Z"


def _list(names: Sequence[str]) -> bytes:
    """As in https://platform.claude.com/docs/en/api/models-list: always one page."""
    return msgspec.json.encode(
        {
            "data": [_described(name) for name in names],
            "first_id": names[0] if names else None,
            "has_more": False,
            "last_id": names[-1] if names else None,
        }
    )


def _show(name: str) -> bytes:
    return msgspec.json.encode(_described(name))


def _described(name: str) -> dict[str, object]:
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": _UNKNOWN_DATE,
        "lifecycle": "active",
    }


def _token(headers: Mapping[str, str]) -> str:
    """Clients send what they are given as a key in one header, as a token in the other."""
    if "authorization" not in headers and headers.get("x-api-key", "").strip():
        return headers["x-api-key"].strip()
    return bearer(headers)


_KEPT_THERE = "it leaves what it is sent with the provider; send the content with the call"
_BATCHES = "batches end later than a hold can wait; call /v1/messages for each"

ANTHROPIC = Surface(
    prefix="/anthropic",
    protocol="anthropic",
    dialects=(MESSAGES, COUNT_TOKENS),
    errors=ANTHROPIC_ERRORS,
    models_path="/v1/models",
    list_models=_list,
    show_model=_show,
    token=_token,
    unserved=MappingProxyType(
        {
            ("POST", "/v1/messages/batches"): _BATCHES,
            ("GET", "/v1/messages/batches"): _BATCHES,
            ("POST", "/v1/complete"): "the old way to call; call /v1/messages",
            ("POST", "/v1/files"): _KEPT_THERE,
            ("POST", "/v1/skills"): _KEPT_THERE,
        }
    ),
)
