"""Choosing the plan by the agent that asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from watchkeeper.core.errors import Invalid
from watchkeeper.demo.plans import engineering, money, service
from watchkeeper.demo.plans.conversation import Conversation, Step, read_conversation, stop

PLANS: dict[str, Callable[[Conversation], Step]] = {
    "refund-assistant": money.refund,
    "loan-origination": money.loan,
    "fraud-detection": money.fraud,
    "customer-support": service.support,
    "recommendation": service.recommend,
    "code-review": engineering.review,
    "cloud-operations": engineering.operate,
    "contract-summary": engineering.summarise,
}


def next_step(messages: Sequence[Mapping[str, Any]]) -> Step:
    """Return what the model says next; raise `Invalid` for a chat that no plan knows."""
    chat = read_conversation(messages)
    if chat.item.get("notes"):
        return stop("Seen this week: many small amounts, then a large one far from home.")
    plan = PLANS.get(chat.agent)
    if plan is None:
        raise Invalid(f"this model has no plan for {chat.agent!r}")
    return plan(chat)
