"""What the tokens of the plane claim: who acts, for whom and under whom (RFC 7519, RFC 8693, 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from watchkeeper.identity.model import RunFacts
from watchkeeper.identity.principals import can_bear, spiffe_id


@dataclass(slots=True)
class Claims:
    """Says of runs what others may rely on."""

    trust_domain: str
    issuer: str = ""
    """The address that tokens name as their issuer, once it is bound."""

    def of_plane(self, audience: str) -> dict[str, Any]:
        """Say that the plane itself acts, on an errand of its own."""
        subject = spiffe_id(self.trust_domain, "workflow", "watchkeeper")
        return {"iss": self.issuer, "aud": audience, "sub": subject}

    def of(self, facts: RunFacts, audience: str) -> dict[str, Any]:
        """Say who acts in a run, for whom and under whom, to an audience."""
        domain = self.trust_domain
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": audience,
            "sub": spiffe_id(domain, "agent", facts.agent),
            "client_id": spiffe_id(domain, "agent", facts.agent, facts.version),
            "run": spiffe_id(domain, "run", facts.run),
            "act": _act_chain(domain, facts),
        }
        if facts.on_behalf_of:
            claims["on_behalf_of"] = {
                "name": facts.on_behalf_of,
                "proven": facts.on_behalf_of_proof is not None,
            }
        return claims

    def subject(self, facts: RunFacts) -> str:
        """Return the person where one is proven (RFC 8693, 4.1), else the agent."""
        domain = self.trust_domain
        if facts.on_behalf_of and facts.on_behalf_of_proof is not None:
            name = facts.on_behalf_of.removeprefix("person/")
            return spiffe_id(domain, "person", name) if can_bear(name) else facts.on_behalf_of
        return spiffe_id(domain, "agent", facts.agent)


def _act_chain(trust_domain: str, facts: RunFacts) -> dict[str, Any]:
    """Return who acts, and under whom (RFC 8693, 4.1): the present actor is the outermost."""
    chain: dict[str, Any] | None = None
    for agent in (*(agent for _, agent in facts.ancestors), facts.agent):
        link: dict[str, Any] = {"sub": spiffe_id(trust_domain, "agent", agent)}
        if chain is not None:
            link["act"] = chain
        chain = link
    assert chain is not None
    return chain
