"""What OpenAI's clients find under ``/openai/v1``."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import msgspec

from watchkeeper.gateways.http import bearer
from watchkeeper.gateways.model.dialect import Surface
from watchkeeper.gateways.model.dialects.chat import CHAT
from watchkeeper.gateways.model.dialects.embeddings import EMBEDDINGS
from watchkeeper.gateways.model.dialects.responses import RESPONSES
from watchkeeper.gateways.model.dialects.shapes import CHAT_ERRORS


def _list(names: Sequence[str]) -> bytes:
    data = [_described(name) for name in names]
    return msgspec.json.encode({"object": "list", "data": data})


def _show(name: str) -> bytes:
    return msgspec.json.encode(_described(name))


def _described(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "watchkeeper"}


_STORED = (
    "what a provider stored is not read, changed or ended through the plane; keep what a call "
    "answers, or send the conversation whole"
)
_LONG = "it goes on where nobody sees or stops it; call /responses or /chat/completions for each"
_FILES = "what lies at the provider is not managed through the plane; send content with the call"
_OTHER = "the plane does not govern this kind of call; it serves chat, responses and embeddings"
_UNSERVED = {
    "/responses": _STORED,
    "/chat/completions": _STORED,
    "/conversations": _STORED,
    "/prompts": _STORED,
    "/batches": _LONG,
    "/fine_tuning": _LONG,
    "/evals": _LONG,
    "/files": _FILES,
    "/uploads": _FILES,
    "/vector_stores": _FILES,
    "/containers": _FILES,
    "/completions": "the old way to call; POST /chat/completions or /responses",
    "/assistants": "the old way to call; POST /responses",
    "/threads": "the old way to call; POST /responses",
    "/images": _OTHER,
    "/audio": _OTHER,
    "/videos": _OTHER,
    "/realtime": _OTHER,
    "/moderations": _OTHER,
}

OPENAI = Surface(
    prefix="/openai/v1",
    protocol="openai",
    dialects=(CHAT, RESPONSES, EMBEDDINGS),
    errors=CHAT_ERRORS,
    models_path="/models",
    list_models=_list,
    show_model=_show,
    token=bearer,
    unserved=MappingProxyType(
        {
            (method, start): why
            for start, why in _UNSERVED.items()
            for method in ("GET", "POST", "DELETE", "PATCH")
        }
    ),
)
