"""Calls that have no answer from a model, marked so that clients retry only what may help."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from watchkeeper.core.errors import Unauthenticated, WatchkeeperError
from watchkeeper.decide.gates.kill import REMEDY, words_of
from watchkeeper.gateways.http import answer, header_value
from watchkeeper.gateways.words import denial, sentence
from watchkeeper.kill.model import LockInForce
from watchkeeper.wire.decisions import Answer, Duty

DECISION_HEADER = b"x-watchkeeper-decision"
WARNING_HEADER = b"x-watchkeeper-warning"
MODEL_HEADER = b"x-watchkeeper-model"
ROUTE_HEADER = b"x-watchkeeper-route"
LOWERED_HEADER = b"x-watchkeeper-lowered"
_LONGEST_REASON = 1000
LONGEST_CLIENT_WAIT_SECONDS = 60
"""Clients heed a longer ``Retry-After`` by trying again at once: better not at all."""


class ErrorShape(Protocol):
    """How the clients of one endpoint read errors."""

    def body(self, error: ModelError) -> bytes:
        """Return it as the body of an answer."""
        ...

    def event(self, error: ModelError, sent: int) -> bytes:
        """Return it as the last event of a stream, after so many that were sent."""
        ...


class ModelError(Exception):
    """A call that has no answer from a model.

    `kind` and `code` are in the plane's terms (see `refused` and the others here); a shape may
    say them otherwise. `members` are shown beside them: `rule`, `request`, `expires_at` …
    """

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
        self.members = {name: value for name, value in members.items() if value is not None}

    async def send(self, send: Any, shape: ErrorShape, decision: str | None) -> None:
        """Answer with it."""
        headers = [*decision_headers(decision), *self.headers]
        if self.retry is not None:
            headers.append((b"x-should-retry", b"true" if self.retry else b"false"))
        await answer(send, self.status, shape.body(self), headers)


def decision_headers(
    decision: str | None, warnings: Iterable[str] = ()
) -> list[tuple[bytes, bytes]]:
    """Return the headers that name the decision of a call and what policies warn of."""
    named = [(DECISION_HEADER, header_value(decision))] if decision else []
    return named + [(WARNING_HEADER, header_value(one)) for one in warnings]


def route_headers(model: str, reason: str) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers that name the logical model that answers, and why it does."""
    return (
        (MODEL_HEADER, header_value(model)),
        (ROUTE_HEADER, header_value(reason[:_LONGEST_REASON])),
    )


def lowered_headers(duties: Iterable[Duty]) -> tuple[tuple[bytes, bytes], ...]:
    """Return the header that says how much output is let pass and which rule says so."""
    limits = [one for one in duties if one.max_output_tokens is not None]
    if not limits:
        return ()
    least = min(limits, key=lambda one: one.max_output_tokens or 0)
    rule = least.policy if "/" in least.policy else f"policy/{least.policy}"
    said = f"{least.max_output_tokens} output tokens by {rule}"
    return ((LOWERED_HEADER, header_value(said)),)


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
    if decided.rule.startswith("model/") and decided.rule.endswith("/endpoint"):
        # clients that find a way without this endpoint look for this
        return ModelError(
            404, "invalid_request_error", "not_served", denial(decided), rule=decided.rule
        )
    budget = decided.rule.startswith("budget/")
    return ModelError(
        402 if budget else 403,
        "watchkeeper_budget" if budget else "watchkeeper_denied",
        "budget_exceeded" if budget else "denied",
        denial(decided),
        rule=decided.rule,
        allowed_instead=decided.allowed_instead,
    )


def never_passed(rule: str, reason: str, instead: str) -> ModelError:
    """Return the error for what no contract can permit."""
    return ModelError(
        403,
        "watchkeeper_denied",
        "denied",
        f"DENIED by rule {rule}: {sentence(reason)} Allowed instead: {sentence(instead)}",
        rule=rule,
        allowed_instead=instead,
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


def locked(lock: LockInForce) -> ModelError:
    """Return the error for a call that had no provider left but ones that locks are on."""
    return never_passed(f"lock/{lock.lock}", words_of(lock), REMEDY)


def bad_request(status: int, code: str, message: str) -> ModelError:
    """Return the error for a request that can't be served as it is."""
    return ModelError(status, "invalid_request_error", code, message)


def malformed(message: str) -> ModelError:
    """Return the error for a body that is not one of its endpoint."""
    return bad_request(400, "malformed", message)


def unknown_model(name: str) -> ModelError:
    """Return the error for a model that nobody serves."""
    return bad_request(
        404,
        "model_not_found",
        f"the model {name[:80]!r} is not one that this plane serves; its list of models, at "
        "/openai/v1/models and /anthropic/v1/models, names those",
    )


def as_model_error(error: WatchkeeperError) -> ModelError:
    """Return any error of the plane's as one that model clients can read."""
    kind = "authentication_error" if isinstance(error, Unauthenticated) else "watchkeeper_error"
    headers = (
        ((b"www-authenticate", b'Bearer realm="watchkeeper", error="invalid_token"'),)
        if isinstance(error, Unauthenticated)
        else ()
    )
    return ModelError(error.status, kind, error.code, str(error), headers=headers, rule=error.rule)
