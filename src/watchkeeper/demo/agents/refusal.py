"""How an agent reads what a gateway answers when it does not perform an action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["held", "locked", "over budget", "run ended", "denied", "down", "cut off"]
"""down: what stands behind the gateway does not work; cut off: the gateway itself does not
answer, or no longer takes the token."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an action did not happen: what a client can tell from rule and words."""

    kind: Kind
    rule: str
    text: str

    @property
    def of_run(self) -> bool:
        """Whether it is the run's own budget, which no new day refills."""
        return self.kind == "over budget" and self.rule.startswith("budget/run/")


class NotPerformed(Exception):
    """A model call was refused; the agent decides what to do from the refusal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.text)
        self.refusal = refusal


def from_tool(structured: Any, text: str) -> Refusal | None:
    """Read a tool's error result; None if it is the tool's own failure, not the gateway's word."""
    if not isinstance(structured, Mapping) or not {"retryable", "status"} <= structured.keys():
        return None
    rule = str(structured.get("rule", ""))
    if structured["status"] == "pending":
        return Refusal("held", rule, text)
    if structured["status"] == "denied":
        return Refusal(kind_of(rule), rule, text)
    return Refusal("down", rule, text) if structured["retryable"] else None


def from_model(status: int, body: Any) -> Refusal:
    """Read an error answer of the model gateway (an OpenAI error object)."""
    error = body.get("error", {}) if isinstance(body, Mapping) else {}
    error = error if isinstance(error, Mapping) else {}
    rule = str(error.get("rule") or "")
    text = str(error.get("message") or f"the model gateway answered {status}")
    if status == 401:
        return Refusal("cut off", rule, text)
    if status == 429 and rule:
        return Refusal("over budget" if rule.startswith("budget/") else "down", rule, text)
    if status == 402:
        return Refusal("over budget", rule, text)
    if status == 403:
        held = error.get("code") == "approval_pending"
        return Refusal("held" if held else kind_of(rule), rule, text)
    return Refusal("down", rule, text)


def kind_of(rule: str) -> Kind:
    """Sort a refusal by the rule that it names."""
    if rule == "lock/run-stopped":
        return "run ended"
    if rule.startswith(("lock/", "breaker/")):
        return "locked"
    if rule.startswith("budget/"):
        return "over budget"
    return "denied"
