"""What OpenAI's clients find under ``/openai/v1``."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import msgspec

from watchkeeper.gateways.http import bearer
from watchkeeper.gateways.model.dialect import Surface
from watchkeeper.gateways.model.dialects.chat import CHAT
from watchkeeper.gateways.model.dialects.shapes import CHAT_ERRORS


def _list(names: Sequence[str]) -> bytes:
    data = [_described(name) for name in names]
    return msgspec.json.encode({"object": "list", "data": data})


def _show(name: str) -> bytes:
    return msgspec.json.encode(_described(name))


def _described(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "watchkeeper"}


OPENAI = Surface(
    prefix="/openai/v1",
    protocol="openai",
    dialects=(CHAT,),
    errors=CHAT_ERRORS,
    models_path="/models",
    list_models=_list,
    show_model=_show,
    token=bearer,
    unserved=MappingProxyType({}),
)
