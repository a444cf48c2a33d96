"""What a token is and is good for, for who asks (RFC 7662)."""

from __future__ import annotations

from typing import Any

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.gates.kill import covered_run
from watchkeeper.decide.tokens.claims import Claims
from watchkeeper.identity.enrolment import workload_of
from watchkeeper.identity.principals import spiffe_id
from watchkeeper.identity.rules import check_token
from watchkeeper.identity.runs import facts_of
from watchkeeper.identity.scope import read_token_scope
from watchkeeper.kill.rules import covering
from watchkeeper.kill.service import locks_in_force
from watchkeeper.store.transaction import Transaction


def show_token(
    tx: Transaction, claims: Claims, catalogue: Catalogue, token: str, asks: str | None
) -> dict[str, Any]:
    """Say what a token is; `asks` is the agent that asks, None a person.

    Raises `WatchkeeperError` for a token that is good for nothing.
    """
    if token.startswith("wkr_"):
        return _show_run_token(tx, claims, catalogue, token, asks)
    if token.startswith("wka_"):
        workload = workload_of(tx, token)
        governed = catalogue.agents.get(workload.agent)
        version = governed.version if governed else None
        covered = covered_run(catalogue, "", workload.agent, version, None)
        # what it is good for is opening runs
        if (
            asks not in (None, workload.agent)
            or covering(locks_in_force(tx), covered, opening=True) is not None
        ):
            return {"active": False}
        subject = spiffe_id(claims.trust_domain, "agent", workload.agent)
        return {"active": True, "iss": claims.issuer, "sub": subject, "token_type": "Bearer"}
    return {"active": False}


def _show_run_token(
    tx: Transaction, claims: Claims, catalogue: Catalogue, token: str, asks: str | None
) -> dict[str, Any]:
    facts = check_token(facts_of(tx, token), tx.now)
    covered = covered_run(
        catalogue,
        facts.run,
        facts.agent,
        facts.version,
        facts.on_behalf_of,
        facts.ancestors,
        facts.versions_above,
    )
    stopped = facts.state != "open" or covering(locks_in_force(tx), covered) is not None
    if stopped or asks not in (None, facts.agent) or facts.agent not in catalogue.agents:
        return {"active": False}
    scope = read_token_scope(facts.scope)
    shown = {
        "active": True,
        **claims.of(facts, f"{claims.issuer}/mcp"),
        "sub": claims.subject(facts),
        "token_type": "Bearer",
        "exp": facts.token_expires_at // MICROSECONDS,
    }
    if scope.scope_text is not None:
        shown["scope"] = scope.scope_text
    if scope.details_as_json():
        shown["authorization_details"] = scope.details_as_json()
    return shown
