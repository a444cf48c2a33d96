"""The authorization server: access tokens, token exchange, introspection, revocation.

RFC 6749 (4.4), 7523, 8693, 9396, 7662, 7009. Every token is opaque and looked up, but for the
one that an upstream verifies by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from watchkeeper.core import ids
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import (
    Forbidden,
    Invalid,
    Unauthenticated,
    Unavailable,
    WatchkeeperError,
)
from watchkeeper.core.tracing import TraceContext
from watchkeeper.decide.gates.kill import covered_by, forbidden, stopped
from watchkeeper.decide.model import Action
from watchkeeper.decide.runs.envelope import Envelopes, Under
from watchkeeper.decide.service import Decider
from watchkeeper.decide.tokens.claims import Claims
from watchkeeper.decide.tokens.introspection import show_token
from watchkeeper.decide.tokens.proofs import Behalf, Proofs, Prove
from watchkeeper.decide.tools.direct import direct_tools
from watchkeeper.identity import revocation, uses
from watchkeeper.identity.enrolment import Issued, issue_access
from watchkeeper.identity.model import IssuedRun, NewRun, RunFacts
from watchkeeper.identity.recorded import recorded_run
from watchkeeper.identity.rules import check_token
from watchkeeper.identity.runs import facts_of, narrow_token
from watchkeeper.identity.scope import Layer, TokenScope, read_token_scope
from watchkeeper.identity.signing import SigningKeys
from watchkeeper.kill.rules import covering
from watchkeeper.kill.service import locks_in_force
from watchkeeper.store.transaction import Transaction
from watchkeeper.tools.upstreams.model import CallContext
from watchkeeper.wire.budgets import Measure

ACCESS_SECONDS = 900
"""How long an agent's access token lives, if its contract gives run tokens no less."""
_RENEWED_US = 30 * 86_400 * MICROSECONDS
"""How long what a run was opened with is counted on, since its token can be renewed."""
DIRECT_SECONDS = 300
"""How long a token for an upstream that verifies by itself lives at most."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A token exchange as it was asked for."""

    subject: str
    prove: Prove | None
    """The agent that asks; None: whoever holds the subject token."""
    narrower: Layer
    goal: str
    environment: str | None = None
    wanted: Mapping[Measure, int] | None = None
    caller: TraceContext | None = None
    """The span that it is asked for in."""


@dataclass(frozen=True, slots=True)
class Given:
    """A run's token with what it is for."""

    run: IssuedRun
    agent: str
    scope: TokenScope


class Tokens:
    """Issues, examines and takes back what agents act with."""

    def __init__(
        self, decider: Decider, envelopes: Envelopes, proofs: Proofs, signing: SigningKeys
    ) -> None:
        self._decider = decider
        self._store = decider.store
        self._envelopes = envelopes
        self.proofs = proofs
        self.signing = signing
        self.claims = Claims(proofs.trust_domain)

    def counter(self) -> str:
        """Return a new name to count authorization details under."""
        return ids.new("det", self._store.clock)

    async def access(self, prove: Prove) -> Issued:
        """Issue an agent that proved itself a short-lived token that opens runs."""

        self._decider.check_switch()

        def unit(tx: Transaction) -> Issued:
            workload = prove(tx)
            governed = self._envelopes.admit(tx, workload.agent)
            ttl = min(ACCESS_SECONDS, governed.contract.identity.token_ttl_seconds)
            return issue_access(tx, workload, ttl_seconds=ttl)

        return await self._store.write(unit)

    async def exchange(self, asked: Exchange) -> Given:
        """Exchange a person's token for a run on their behalf, or a run's for a narrower or child.

        A person's token needs an agent that asks. A run's token that its own agent (or nobody
        named) exchanges becomes a narrower one of the same run; another agent gets a child run.
        """
        self._decider.check_switch()
        if asked.subject.startswith("wkr_"):
            return await self._from_run(asked)
        try:
            behalf = await self.proofs.of_person(asked.subject)
        except Unauthenticated as error:
            raise _bad_subject(error) from None
        if asked.prove is None:
            raise Invalid(
                "say which agent acts: authenticate it, or send its token as actor_token",
                code="invalid_request",
            )
        prove = asked.prove
        return await self._opened(
            prove, asked.goal, lambda tx: self._on_behalf(tx, prove, behalf, asked)
        )

    def _on_behalf(self, tx: Transaction, prove: Prove, behalf: Behalf, asked: Exchange) -> Given:
        workload = prove(tx)
        governed = self._envelopes.admit(tx, workload.agent)
        if behalf.token_hash is not None and revocation.is_revoked(tx, behalf.token_hash):
            raise Invalid("the person's token was revoked", rule="identity/person-token")
        if behalf.expires_at <= tx.now:
            raise Invalid("the person's token has expired", rule="identity/person-token")
        environments = iter(governed.contract.environments)
        new = NewRun(
            asked.goal or f"work on behalf of {behalf.name}",
            on_behalf_of=behalf.name,
            environment=asked.environment or next(environments, "production"),
            on_behalf_of_proof=behalf.proof,
            proof_hash=behalf.token_hash,
            proof_expires_at=behalf.expires_at,
            scope=TokenScope().narrowed(asked.narrower),
            caller=asked.caller,
        )
        issued = self._envelopes.open_in(tx, workload, new)
        _begin_counting(tx, asked.narrower, issued.expires_at + _RENEWED_US)
        return Given(issued, workload.agent, new.scope)

    async def _from_run(self, asked: Exchange) -> Given:
        prove, token = asked.prove, asked.subject

        def unit(tx: Transaction) -> Given:
            workload = prove(tx) if prove is not None else None
            facts = _subject(tx, token)
            if workload is None or workload.agent == facts.agent:
                return self._narrow(tx, token, facts, asked.narrower)
            under = Under(token, asked.wanted or {}, asked.narrower)
            new = NewRun(asked.goal or facts.goal, caller=asked.caller)
            issued = self._envelopes.open_in(tx, workload, new, under)
            _begin_counting(tx, asked.narrower, issued.expires_at + _RENEWED_US)
            held = read_token_scope(facts.scope)
            return Given(issued, workload.agent, held.narrowed(asked.narrower))

        if prove is None:
            return await self._store.write(unit)
        return await self._opened(prove, asked.goal, unit)

    async def _opened(self, prove: Prove, goal: str, unit: Any) -> Given:
        def name(tx: Transaction) -> str:
            return prove(tx).agent

        found: Given = await self._envelopes.recorded(name, goal, unit)
        return found

    def _narrow(self, tx: Transaction, token: str, facts: RunFacts, narrower: Layer) -> Given:
        governed = self._envelopes.admit(tx, facts.agent, facts.run)
        if facts.state != "open":
            raise stopped(facts.run)
        held = read_token_scope(facts.scope)
        held.check_wider(narrower)
        scope = held.narrowed(narrower)
        issued = narrow_token(
            tx, token, facts, scope, ttl_seconds=governed.contract.identity.token_ttl_seconds
        )
        _begin_counting(tx, narrower, issued.expires_at)
        return Given(issued, facts.agent, scope)

    async def direct(self, token: str, resource: str, narrower: Layer) -> tuple[str, int, str]:
        """Return a JWT for an upstream that verifies by itself, its seconds and its scope.

        Only for an upstream whose document names the audience (`direct_audience`), and only
        for those of its tools that nothing here refuses and that need no decision of a person.
        Raises `Invalid` (`invalid_target`) for any other.
        """
        self._decider.check_switch()

        def unit(tx: Transaction) -> tuple[dict[str, Any], int, str]:
            facts = _subject(tx, token)
            self._envelopes.admit(tx, facts.agent, facts.run)
            if facts.state != "open":
                raise Forbidden("the run was stopped by a kill", rule="lock/run-stopped")
            held = read_token_scope(facts.scope)
            held.check_wider(narrower)
            audience, tools = direct_tools(
                self._decider.catalogue.now,
                locks_in_force(tx),
                facts,
                resource,
                held.narrowed(narrower),
            )
            seconds = min(DIRECT_SECONDS, (facts.token_expires_at - tx.now) // MICROSECONDS)
            scope = " ".join(f"tool:{name}" for name in tools)
            jti = tx.new_id("jti")
            claims = {
                **self.claims.of(facts, audience),
                "sub": self.claims.subject(facts),
                "scope": scope,
                "jti": jti,
            }
            tx.record(
                "run.token_exported",
                actor=f"agent/{facts.agent}",
                subject=f"run/{facts.run}",
                agent=facts.agent,
                run=facts.run,
                body={"audience": audience, "jti": jti, "scope": scope, "seconds": seconds},
            )
            return claims, seconds, scope

        claims, seconds, scope = await self._store.write(unit)
        return await self.signing.sign(claims, seconds=max(1, seconds)), seconds, scope

    async def mint(self, audience: str, seconds: int, call: CallContext | None) -> str:
        """Return a JWT for one call that the plane makes, or for an errand of its own.

        Raises `Forbidden` for a call that a kill cuts.
        """
        claims = self.claims.of_plane(audience)
        if call is not None:
            self._decider.check_switch()
            facts = await self._store.read(lambda tx: self._calling(tx, call))
            if facts is None:
                raise Unavailable("the run of the call is not known here", rule="identity/run")
            claims = self.claims.of(facts, audience)
            claims |= {"decision": call.decision, "scope": f"tool:{call.tool}"}
        return await self.signing.sign(claims, seconds=seconds)

    def _calling(self, tx: Transaction, call: CallContext) -> RunFacts | None:
        """Return the run that a call is of; raise `Forbidden` where a kill covers the call."""
        facts = recorded_run(tx, call.run)
        if facts is None:
            return None
        if facts.state == "stopped":
            raise stopped(facts.run)
        kills = [lock for lock in locks_in_force(tx) if lock.mode == "stop"]
        action = Action("tool", call.tool, {})
        lock = covering(kills, covered_by(self._decider.catalogue.now, facts, action))
        if lock is not None:
            raise forbidden(lock)
        return facts

    async def introspect(self, token: str, asks: str | None) -> dict[str, Any]:
        """Return what a token is (RFC 7662); `asks` is the agent that asks, None a person."""
        if self._decider.switched_off() is not None:
            return {"active": False}
        try:
            return await self._store.read(
                lambda tx: show_token(tx, self.claims, self._decider.catalogue.now, token, asks)
            )
        except WatchkeeperError:
            return {"active": False}

    async def revoke(self, token: str, *, actor: str, agent: str | None) -> None:
        """Take back a token and all that was got with it; an unknown one is none (RFC 7009).

        `agent` is whose tokens the caller may take back; None: anybody's. Raises `Forbidden`
        (`unauthorized_client`) for another's.
        """

        def unit(tx: Transaction) -> None:
            tx.silent("what is not known needs no taking back")
            known = revocation.find_token(tx, token)
            if known is None:
                return
            owner = known.owner
            if known.kind == "run":
                facts = facts_of(tx, token)
                owner = facts.agent if facts is not None else ""
            if agent is not None and (known.kind == "person" or owner != agent):
                raise Forbidden("the token is not yours to take back", code="unauthorized_client")
            revocation.revoke(tx, known, actor=actor)

        await self._store.write(unit)


def _subject(tx: Transaction, token: str) -> RunFacts:
    try:
        return check_token(facts_of(tx, token), tx.now)
    except Unauthenticated as error:
        raise _bad_subject(error) from None


def _bad_subject(error: WatchkeeperError) -> Invalid:
    """A subject token that proves nothing is an invalid request (RFC 8693, 2.2.2)."""
    return Invalid(
        f"subject_token: {error.message}",
        code="invalid_request",
        rule=error.rule,
        remedy=error.remedy,
    )


def _begin_counting(tx: Transaction, layer: Layer, expires_at: int) -> None:
    for detail in layer.details or ():
        uses.open_counter(tx, detail, expires_at)
