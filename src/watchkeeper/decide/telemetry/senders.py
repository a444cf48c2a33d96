"""Who sends telemetry, and how much may be kept of what it says."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import NamedTuple

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.contents import kept_words
from watchkeeper.identity.enrolment import agent_of
from watchkeeper.identity.rules import check_owner, check_revoked, check_token
from watchkeeper.identity.runs import facts_of
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces.telemetry.keeping import Contents
from watchkeeper.wire.data import RedactionLevel

LATE_SECONDS = 3600
"""How long after its token has expired a run's telemetry is taken: it is sent in batches."""
_RUN_TOKEN = "wkr_"  # noqa: S105 - how such tokens begin
_SHORT = 200


class Sender(NamedTuple):
    """Whose telemetry it is; `run` where it came with a run's token."""

    agent: str
    run: str | None


class Keeping(NamedTuple):
    """What the contract lets be kept."""

    spans: bool
    contents: Contents
    clean: Callable[[str], str]


def sender_of(tx: Transaction, token: str) -> Sender:
    """Return who shows an agent's credential or a run's token; raise `Unauthenticated`.

    A run's token is taken for a while after its run has ended: the last batch comes then.
    """
    if not token.startswith(_RUN_TOKEN):
        return Sender(agent_of(tx, token), None)
    found = facts_of(tx, token)
    facts = check_owner(found, found.run if found else "")
    if facts.state == "open":
        check_revoked(facts)
    if tx.now >= facts.token_expires_at + LATE_SECONDS * MICROSECONDS:
        check_token(facts, tx.now)
    return Sender(facts.agent, facts.run)


def keeping_of(catalogue: Catalogue, agent: str) -> Keeping:
    """Return what may be kept of an agent's telemetry: without a contract, digests of contents."""
    governed = catalogue.agents.get(agent)
    if governed is None:
        return Keeping(True, "digests", _cleaner("strict"))
    logging = governed.contract.logging
    whole = logging.trace_level == "full" and not logging.zero_retention
    contents: Contents = "kept" if whole else "digests"
    return Keeping(logging.trace_level != "off", contents, _cleaner(logging.pii_redaction))


@cache
def _cleaner(level: RedactionLevel) -> Callable[[str], str]:
    # names of models, tools and services come again and again
    known = lru_cache(4096)(lambda text: kept_words(text, level) or "")

    def clean(text: str) -> str:
        return known(text) if len(text) <= _SHORT else kept_words(text, level) or ""

    return clean
