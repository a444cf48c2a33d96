"""The providers for tests take the names of functions that real ones take, and no others."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rig.provider_functions import anthropic_refusal, openai_refusal


def chat(name: str) -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": {"name": name}}]}


def earlier_chat(name: str) -> dict[str, Any]:
    return {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": name}}]}]}


def responses(name: str) -> dict[str, Any]:
    return {"tools": [{"type": "function", "name": name}]}


def earlier_responses(name: str) -> dict[str, Any]:
    return {"input": [{"type": "function_call", "name": name}]}


def messages(name: str) -> dict[str, Any]:
    return {"tools": [{"name": name}, {"type": "bash_20250124", "name": "bash"}]}


def earlier_messages(name: str) -> dict[str, Any]:
    return {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "name": name}]}]}


@pytest.mark.parametrize("body", [chat, earlier_chat, responses, earlier_responses])
def test_openai(body: Any) -> None:
    assert openai_refusal(body("books_refund-2")) is None
    for name in ("books.refund", "", "n" * 65):
        assert openai_refusal(body(name)) is not None


@pytest.mark.parametrize("body", [messages, earlier_messages])
def test_anthropic(body: Any) -> None:
    assert anthropic_refusal(body("n" * 128)) is None
    for name in ("books.refund", "", "n" * 129):
        assert anthropic_refusal(body(name)) is not None
