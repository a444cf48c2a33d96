"""Who asks for a token: an agent that proves itself, and the person it acts for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from watchkeeper.core.errors import Unauthenticated
from watchkeeper.core.ids import hash_secret
from watchkeeper.decide.catalogue import CatalogueView
from watchkeeper.identity.agent_keys import (
    ALGORITHMS,
    ASSERTION_SECONDS,
    keys_of,
    still_valid,
    take_assertion,
)
from watchkeeper.identity.enrolment import workload_of
from watchkeeper.identity.issuers import Issuers, Trusted, load_library
from watchkeeper.identity.jwt import Claims, read_unverified, refused, verify
from watchkeeper.identity.model import Workload
from watchkeeper.identity.persons import OWN_ROLES, facts_of_token
from watchkeeper.identity.principals import read_principal
from watchkeeper.identity.proofs import subject_of
from watchkeeper.registry.documents import Issuer
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

LONGEST_NAME = 200

Prove = Callable[[Transaction], Workload]
"""Says in the unit that acts on it which agent was proven; raises `Unauthenticated` if what
proves it was used or revoked meanwhile."""


@dataclass(frozen=True, slots=True)
class Behalf:
    """A person that proved to want this."""

    name: str
    proof: str
    token_hash: str | None
    expires_at: int


class Proofs:
    """Verifies what agents and people prove themselves with."""

    def __init__(
        self, store: Store, view: CatalogueView, issuers: Issuers, trust_domain: str
    ) -> None:
        self._store = store
        self._view = view
        self._issuers = issuers
        self.trust_domain = trust_domain

    def by_secret(self, secret: str, name: str | None, *, enrolled: bool) -> Prove:
        """Return the proof of an agent by its credential (or, unless `enrolled`, access token)."""

        def prove(tx: Transaction) -> Workload:
            workload = workload_of(tx, secret, enrolled=enrolled)
            if name is not None and self._agent_named(name) != workload.agent:
                raise Unauthenticated(
                    "the credential is another agent's", rule="identity/credential"
                )
            return workload

        return prove

    async def by_assertion(self, token: str, name: str | None, audiences: set[str]) -> Prove:
        """Return the proof of an agent by a JWT: its own assertion, or a trusted issuer's.

        `name` is the agent that the caller says it is, `audiences` are ours (RFC 7523, 3).
        """
        _, claims = read_unverified(token)
        issuer, subject = claims.get("iss"), claims.get("sub")
        if isinstance(issuer, str) and issuer == subject:
            agent = self._agent_named(issuer)
            if name is not None and self._agent_named(name) != agent:
                raise refused("it is another agent's")
            return await self._by_key(token, agent, issuer, audiences)
        trusted = self._trusted(issuer, "workloads")
        verified = await self._issuers.verify(token, as_trusted(trusted))
        agent = self._workload(trusted, verified, name)
        proof = f"issuer/{trusted.name} {verified.subject}"
        return lambda tx: Workload(agent, proof)

    async def _by_key(self, token: str, agent: str, issuer: str, audiences: set[str]) -> Prove:
        await load_library()
        keys = await self._store.read(lambda tx: keys_of(tx, agent))
        claims = verify(
            token,
            keys,
            algorithms=ALGORITHMS,
            issuer=issuer,
            audiences=audiences,
            now=self._store.clock.now(),
            longest_seconds=ASSERTION_SECONDS,
        )

        def prove(tx: Transaction) -> Workload:
            workload = still_valid(tx, agent, str(claims.key))
            take_assertion(tx, claims)
            return workload

        return prove

    def _workload(self, issuer: Issuer, claims: Claims, name: str | None) -> str:
        """Return the one agent whose contract trusts what an issuer says of a workload."""
        found = [
            agent
            for agent, governed in self._view.now.agents.items()
            for trusted in governed.contract.identity.workloads
            if trusted.issuer == issuer.name
            and trusted.subject == claims.subject
            and all(claims.all.get(key) == value for key, value in trusted.claims.items())
        ]
        if name is not None:
            wanted = self._agent_named(name)
            found = [agent for agent in found if agent == wanted]
        if len(set(found)) != 1:
            raise refused(
                "several agents trust this workload: name one with client_id"
                if found
                else "no agent's contract trusts this workload"
            )
        return found[0]

    async def of_person(self, token: str) -> Behalf:
        """Return the person whose token this is: of a trusted issuer of people, or our own."""
        if token.startswith("wkp_"):
            facts = await self._store.read(lambda tx: facts_of_token(tx, token))
            if facts.role == OWN_ROLES and facts.proof not in self._view.now.proofs_of(
                facts.person
            ):
                raise refused("what it was had with counts no longer")
            return Behalf(
                f"person/{facts.person}",
                f"plane person/{facts.person}",
                hash_secret(token),
                facts.expires_at,
            )
        _, claims = read_unverified(token)
        issuer = self._trusted(claims.get("iss"), "people")
        verified = await self._issuers.verify(token, as_trusted(issuer))
        known_by = subject_of(verified.all, issuer.person_claim)
        if known_by is None:
            raise refused(f"its {issuer.person_claim} is no short text, or is not verified")
        person = self._view.now.person_at(issuer.name, known_by)
        name = f"person/{person}" if person else f"{issuer.name}:{known_by}"[:LONGEST_NAME]
        return Behalf(name, f"{issuer.name} {known_by}", None, verified.expires_at)

    def _trusted(self, issuer: object, of: str) -> Issuer:
        for one in self._view.now.issuers.values():
            if one.issuer == issuer and one.of in (of, "both"):
                return one
        raise refused(f"no issuer of {of} with that name is trusted here")

    def _agent_named(self, name: str) -> str:
        if not name.startswith("spiffe://"):
            return name
        principal = read_principal(name, self.trust_domain)
        if principal.kind != "agent":
            raise refused("it names no agent")
        return principal.name


def as_trusted(issuer: Issuer) -> Trusted:
    """Return an issuer as its tokens are verified by."""
    return Trusted(
        name=issuer.name,
        issuer=issuer.issuer,
        audience=issuer.audience,
        algorithms=issuer.algorithms,
        jwks=issuer.jwks,
        jwks_url=issuer.jwks_url,
        allow_private=issuer.allow_private,
    )
