"""When a token opens a run: pure rules over its facts, the time and the epoch."""

from __future__ import annotations

from watchkeeper.core.errors import Unauthenticated
from watchkeeper.identity.model import RunFacts

RUN_ENDED = frozenset({"succeeded", "failed", "expired"})


def check_token(facts: RunFacts | None, now: int) -> RunFacts:
    """Return the run a token opens; raise `Unauthenticated` naming the rule it fails.

    A run that a kill stopped is not refused here: the lock gate says so by name.
    """
    facts = check_owner(facts, facts.run if facts else "")
    if facts.state in RUN_ENDED:
        raise Unauthenticated(
            f"run {facts.run} has ended ({facts.state})",
            code="run_ended",
            rule="identity/run-open",
            remedy="open a new run",
        )
    if facts.state != "stopped":
        check_revoked(facts)
    if now >= facts.token_expires_at:
        raise Unauthenticated(
            "the run token has expired",
            code="token_expired",
            rule="identity/token-expired",
            remedy="ask for a new token with the agent's credential",
        )
    return facts


def check_revoked(facts: RunFacts) -> None:
    """Raise `Unauthenticated` if the token was revoked."""
    if facts.token_revoked_at is not None:
        raise Unauthenticated(
            "the run token was revoked",
            code="token_revoked",
            rule="identity/token-revoked",
            remedy="ask for a new token with the agent's credential",
        )


def check_owner(facts: RunFacts | None, run: str) -> RunFacts:
    """Return the facts of a token if it was issued for `run`; raise `Unauthenticated` if not."""
    if facts is None or facts.run != run:
        raise Unauthenticated(
            "the run token is not known to this plane, or is of another run",
            rule="identity/token",
            remedy="open a run and use the token it returns",
        )
    return facts
