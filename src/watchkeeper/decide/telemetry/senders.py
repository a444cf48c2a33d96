"""Who sends telemetry, and how much may be kept of what it says."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.runs.sessions import run_of_session
from watchkeeper.decide.telemetry.reported import Allowed
from watchkeeper.identity.enrolment import agent_of
from watchkeeper.identity.rules import check_owner, check_revoked, check_token
from watchkeeper.identity.runs import agent_of_run, facts_of
from watchkeeper.store.transaction import Transaction

LATE_SECONDS = 3600
"""How long after its token has expired a run's telemetry is taken: it is sent in batches."""
_RUN_TOKEN = "wkr_"  # noqa: S105 - how such tokens begin


class Sender(NamedTuple):
    """Whose telemetry it is; `run` where it came with a run's token."""

    agent: str
    run: str | None


class Named(Protocol):
    """What says which run or session it is of."""

    @property
    def run(self) -> str | None:
        """One of the plane's ids."""

    @property
    def session(self) -> str | None:
        """As its framework names it."""

    @property
    def client(self) -> str | None:
        """The coding agent whose session it is, as hooks name it."""


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


def run_named(tx: Transaction, sender: Sender, said: Named) -> str | None:
    """Return the sender's run that something belongs to by what it says, or by its token."""
    if said.run is not None and agent_of_run(tx, said.run) == sender.agent:
        return said.run
    if sender.run is not None:
        return sender.run
    if said.session is None or said.client is None:
        return None
    return run_of_session(tx, sender.agent, f"{said.client}:{said.session}")


def allowed_of(catalogue: Catalogue, agent: str) -> Allowed:
    """Return what may be kept of an agent's telemetry: without a contract, digests of contents."""
    governed = catalogue.agents.get(agent)
    if governed is None:
        return Allowed(agent, True, "digests", "strict")
    logging = governed.contract.logging
    whole = logging.trace_level == "full" and not logging.zero_retention
    spans = logging.trace_level != "off"
    if whole:
        return Allowed(agent, spans, "kept", logging.pii_redaction)
    # names are kept without contents: what is personal among them is content all the same
    return Allowed(agent, spans, "digests", "strict")
