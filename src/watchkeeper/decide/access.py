"""Access evaluations: what would be decided, asked by others, and asking for the approval.

An evaluation is a dry run: nothing is reserved, spent or recorded, so nothing can be run on
it. Only asking for an approval changes something: it opens the request that the same call to
the decision path would open.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from sqlalchemy import bindparam, select

from watchkeeper.approvals.tables import requests
from watchkeeper.core import base64url, ids
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.digest import canonical, parse
from watchkeeper.core.errors import Invalid, WatchkeeperError
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.explaining import glance
from watchkeeper.decide.glancing import GlancingFacts
from watchkeeper.decide.model import Action, Progress, Ruling
from watchkeeper.decide.service import Decider, as_action
from watchkeeper.identity.model import RunFacts
from watchkeeper.identity.rules import check_token
from watchkeeper.identity.runs import facts_of
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import Ask

BINDING_SECONDS = 600
"""How long after an evaluation the approval that it lacks may be asked for."""
_FIND = Statement(select(requests).where(requests.c.request == bindparam("request_is")))


class NotRequestable(WatchkeeperError):
    """No approval would help, or none is needed."""

    status = 400
    default_code = "not_requestable"


class ExpiredDenial(WatchkeeperError):
    """The evaluation was too long ago."""

    status = 410
    default_code = "expired_denial"


class InvalidBinding(WatchkeeperError):
    """What is asked for is not what was evaluated."""

    status = 400
    default_code = "invalid_denial_binding"


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What would be decided, and what an approval of it would be bound to."""

    ruling: Ruling
    progress: Progress
    at: int
    approval: Row | None = None
    """The request that the caller says is approved, if it is of this run."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What a binding token says."""

    run: str
    digest: str
    expires_at: int


class Bindings:
    """Makes and reads binding tokens: sealed by a key that lives as long as the plane runs.

    After a restart, and on another plane, a token says nothing any more: evaluate again.
    """

    def __init__(self) -> None:
        self._key = ids.secret("bind").encode()

    def seal(self, bound: Bound) -> str:
        """Return a token that says what was evaluated."""
        payload = canonical({"run": bound.run, "digest": bound.digest, "exp": bound.expires_at})
        return f"{base64url.encode(payload)}.{base64url.encode(self._mac(payload))}"

    def read(self, token: str) -> Bound:
        """Return what a token says; raise `InvalidBinding` for one that is not of this key."""
        first, _, second = token.partition(".")
        try:
            payload, mac = base64url.decode(first), base64url.decode(second)
            if not hmac.compare_digest(mac, self._mac(payload)):
                raise ValueError
            said = parse(payload)
            return Bound(said["run"], said["digest"], said["exp"])
        except (ValueError, KeyError, TypeError, Invalid):
            raise InvalidBinding(
                "the binding token is not one of this plane, or was changed",
                remedy="evaluate again and send the token of that answer as it is",
            ) from None

    def _mac(self, payload: bytes) -> bytes:
        return hmac.new(self._key, payload, hashlib.sha256).digest()


def evaluate(
    tx: Transaction, catalogue: Catalogue, run: RunFacts, action: Action, approval: str | None
) -> Evaluated:
    """Return what would be decided of an action now."""
    found = glance(tx, catalogue, run, action)
    known = approval is not None and ids.is_id(approval)
    row = _FIND.first(tx, request_is=approval) if known else None
    return Evaluated(
        found.ruling,
        found.progress,
        tx.now,
        row if row is not None and row.run == run.run else None,
    )


async def request_approval(decider: Decider, token: str, ask: Ask, bound: Bound) -> str:
    """Return the request for an action that is held, opened once however often it is asked.

    Raises `ExpiredDenial`, `InvalidBinding` where the action is not the one that was
    evaluated, and `NotRequestable` where no approval is wanting.
    """
    decider.check_switch()
    action = await as_action(ask)

    def unit(tx: Transaction) -> str:
        if tx.now >= bound.expires_at:
            raise ExpiredDenial(
                "the evaluation was too long ago", remedy="evaluate again and ask at once"
            )
        run = check_token(facts_of(tx, token), tx.now)
        found = glance(tx, decider.catalogue.now, run, action)
        if (run.run, found.progress.digest) != (bound.run, bound.digest):
            raise InvalidBinding(
                "this is not the action that was evaluated, or its contract has changed since",
                remedy="evaluate exactly this and send the token of that answer",
            )
        standing = GlancingFacts(tx, decider.catalogue.now, run).standing(bound.digest)
        if standing is not None and (standing.state in _TOLD or found.ruling.verdict != "hold"):
            tx.silent("it was asked for before, and that is on record")
            return standing.request
        if found.ruling.verdict != "hold":
            raise NotRequestable(
                f"no approval is wanting: {found.ruling.reason}",
                rule=found.ruling.rule,
                remedy=found.ruling.allowed_instead,
            )
        answer = decider.decide_in(tx, token, ask, action)
        if answer.request is None:
            raise NotRequestable(answer.reason, rule=answer.rule)
        return answer.request

    return await decider.store.write(unit)


_TOLD = frozenset({"pending", "approved"})
"""States of a request that the same action would meet again."""


def find_request(tx: Transaction, request: str) -> Row | None:
    """Return an approval request, or None."""
    return _FIND.first(tx, request_is=request)


def binding_of(evaluated: Evaluated, run: str) -> Bound:
    """Return what a binding token of an evaluation says."""
    return Bound(run, evaluated.progress.digest, evaluated.at + BINDING_SECONDS * MICROSECONDS)
