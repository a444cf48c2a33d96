"""Errors in the shape that OpenAI's clients read, marked so that they retry only what may help."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from watchkeeper.gateways.http import answer, header_value
from watchkeeper.gateways.words import denial, sentence
from watchkeeper.wire.decisions import Answer

DECISION_HEADER = b"x-watchkeeper-decision"
WARNING_HEADER = b"x-watchkeeper-warning"
LONGEST_CLIENT_WAIT_SECONDS = 60
"""OpenAI's clients heed a longer ``Retry-After`` by trying again at once: better not at all."""


class ModelError(Exception):
    """A call that has no answer from a model."""

    def __init__(
        self,
        status: int,
        kind: str,
        code: str,
        message: str,
        *,
        retry: bool | None = False,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        **members: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.code = code
        self.message = message
        self.retry = retry
        self.headers = headers
        self.members = members

    def body(self) -> bytes:
        """Return the error object."""
        kept = {name: value for name, value in self.members.items() if value is not None}
        return msgspec.json.encode(
            {
                "error": {
                    "message": self.message,
                    "type": self.kind,
                    "param": None,
                    "code": self.code,
                    **kept,
                }
            }
        )

    def event(self) -> bytes:
        """Return the error as the last event of a stream."""
        return b"data: " + self.body() + b"\n\n"

    async def send(self, send: Any, decision: str | None) -> None:
        """Answer with it."""
        headers = [*decision_headers(decision), *self.headers]
        if self.retry is not None:
            headers.append((b"x-should-retry", b"true" if self.retry else b"false"))
        await answer(send, self.status, self.body(), headers)


def decision_headers(
    decision: str | None, warnings: Iterable[str] = ()
) -> list[tuple[bytes, bytes]]:
    """Return the headers that name the decision of a call and what policies warn of."""
    named = [(DECISION_HEADER, header_value(decision))] if decision else []
    return named + [(WARNING_HEADER, header_value(one)) for one in warnings]


def refused(decided: Answer) -> ModelError:
    """Return the error for a call that was denied, or still waits for a person."""
    if decided.verdict == "hold":
        return ModelError(
            403,
            "watchkeeper_pending",
            "approval_pending",
            f"PENDING APPROVAL {decided.request} under rule {decided.rule}: "
            f"{sentence(decided.reason)} Nothing has been done. Send exactly the same call again "
            "once it is approved.",
            rule=decided.rule,
            request=decided.request,
            expires_at=decided.expires_at,
        )
    if decided.retry_after_seconds is not None:
        return _too_soon(decided, decided.retry_after_seconds)
    budget = decided.rule.startswith("budget/")
    return ModelError(
        402 if budget else 403,
        "watchkeeper_budget" if budget else "watchkeeper_denied",
        "budget_exceeded" if budget else "denied",
        denial(decided),
        rule=decided.rule,
        allowed_instead=decided.allowed_instead,
    )


def _too_soon(decided: Answer, seconds: int) -> ModelError:
    """A rate limit: clients that heed ``Retry-After`` wait as long, if they wait so long at all."""
    return ModelError(
        429,
        "watchkeeper_rate",
        "rate_limit_exceeded",
        denial(decided),
        retry=seconds <= LONGEST_CLIENT_WAIT_SECONDS,
        headers=((b"retry-after", str(seconds).encode()),),
        rule=decided.rule,
        retry_after_seconds=seconds,
    )


def stopped(lock: str | None) -> ModelError:
    """Return the error for a call that was cut off while it ran."""
    by = f"lock {lock}" if lock else "the plane, which is stopping"
    return ModelError(
        403,
        "watchkeeper_stopped",
        "stopped",
        f"STOPPED: cut off by {by}. What was used is metered.",
        rule=f"lock/{lock}" if lock else None,
    )
