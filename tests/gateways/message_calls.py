"""Calls of Anthropic's protocol, as the dialect reads them."""

from __future__ import annotations

import json
from typing import Any

from watchkeeper.gateways.model.dialects.messages import MESSAGES

BASE: dict[str, Any] = {
    "model": "small-fast",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "hello"}],
}
WINDOW = 200_000


def read(headers: dict[str, str] | None = None, **members: Any) -> Any:
    body = {name: value for name, value in {**BASE, **members}.items() if value is not ...}
    return MESSAGES.read(json.dumps(body).encode(), headers or {})


def said(content: Any, role: str = "user") -> list[dict[str, Any]]:
    return [{"role": role, "content": content}]


def names(call: Any) -> list[str]:
    return [tool.name for tool in call.hosted_tools]
