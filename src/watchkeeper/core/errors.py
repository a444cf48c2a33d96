"""The errors that every room raises; the API and the screens show them as they are."""

from __future__ import annotations

from typing import ClassVar


class WatchkeeperError(Exception):
    """What went wrong, where, under which rule, and what to do about it.

    ``status`` is the HTTP status that the API answers with; ``code`` is a stable
    word for programs; ``remedy`` tells a person what to do next.
    """

    status: ClassVar[int] = 500
    default_code: ClassVar[str] = "internal"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        remedy: str | None = None,
        rule: str | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.remedy = remedy
        self.rule = rule
        self.where = where

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.message}" if self.where else self.message]
        if self.rule:
            parts.append(f"(rule {self.rule})")
        if self.remedy:
            parts.append(f"- {self.remedy}")
        return " ".join(parts)


class Invalid(WatchkeeperError):
    """The input is malformed or breaks a rule of its form."""

    status = 400
    default_code = "invalid"


class Unauthenticated(WatchkeeperError):
    """The caller did not prove who it is, or its token is expired or revoked."""

    status = 401
    default_code = "unauthenticated"


class BudgetExceeded(WatchkeeperError):
    """A budget has no room for what is asked."""

    status = 402
    default_code = "budget_exceeded"


class Forbidden(WatchkeeperError):
    """The caller is known and may not do this."""

    status = 403
    default_code = "forbidden"


class NotFound(WatchkeeperError):
    """There is no such thing, or the caller may not know of it."""

    status = 404
    default_code = "not_found"


class Conflict(WatchkeeperError):
    """The thing is not in a state that allows this."""

    status = 409
    default_code = "conflict"


class TooLarge(WatchkeeperError):
    """The input exceeds a stated limit."""

    status = 413
    default_code = "too_large"


class TooMany(WatchkeeperError):
    """Asked too often; later it may be granted."""

    status = 429
    default_code = "too_many"


class Unavailable(WatchkeeperError):
    """The plane, its store or an upstream cannot serve this now; nothing was done."""

    status = 503
    default_code = "unavailable"
