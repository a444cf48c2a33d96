"""A plane with agents that hand on work, people's issuer and workloads' issuer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from joserfc.jwk import OKPKey

from tests.identity.oauth import public
from tests.rig.plane import Plane
from tests.rig.world import AMPLE, CLERK_TOOLS, POLICY, world

PEOPLE_ISSUER, WORK_ISSUER = "https://people.example", "https://ci.example"


def agent(name: str, *, identity: dict[str, Any] | None = None, **more: Any) -> str:
    """An agent contract as JSON, which is YAML too."""
    document: dict[str, Any] = {
        "name": name,
        "owner": "finance-ops",
        "budgets": AMPLE,
        "tools": {"allowlist": [{"name": f"books.{tool}"} for tool in CLERK_TOOLS]},
        "identity": {"token_ttl_seconds": 900, **(identity or {})},
        **more,
    }
    return json.dumps({"agent": document})


class Issuers:
    """Both issuers' keys."""

    def __init__(self) -> None:
        self.people = OKPKey.generate_key("Ed25519")
        self.work = OKPKey.generate_key("Ed25519")

    def documents(self) -> list[str]:
        """Both issuers as documents."""
        return [
            json.dumps({"issuer": {
                "name": "staff", "issuer": PEOPLE_ISSUER, "audience": "watchkeeper",
                "of": "people", "jwks": {"keys": [{**public(self.people), "kid": "p"}]},
            }}),
            json.dumps({"issuer": {
                "name": "ci", "issuer": WORK_ISSUER, "audience": "watchkeeper",
                "jwks": {"keys": [{**public(self.work), "kid": "w"}]},
            }}),
        ]  # fmt: skip


@pytest.fixture(scope="session")
def issuers() -> Issuers:
    return Issuers()


def documents(issuers: Issuers) -> list[str]:
    """Everything that the tests of this room govern."""
    small = {"max_steps": 10, "max_cost_usd_per_run": 2}
    return [
        *world(),
        *issuers.documents(),
        agent("lead", budgets=small, identity={"delegates_to": ["helper", "lead"],
                                              "delegation_depth": 2}),
        agent("helper", budgets={"max_steps": 4},
              identity={"delegates_to": ["lead", "helper"], "delegation_depth": 1}),
        agent("careful", identity={"verified": True}),
        agent("builder", identity={"workloads": [
            {"issuer": "ci", "subject": "repo:acme/app:main", "claims": {"environment": "live"}},
        ]}),
        json.dumps({"person": {"name": "grace", "oidc": [
            {"issuer": "staff", "subject": "00u1"},
        ]}}),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory, issuers: Issuers) -> Iterator[Plane]:
    running = Plane(tmp_path_factory.mktemp("identity")).start()
    try:
        running.apply(*documents(issuers), policy__cedar=POLICY)
        yield running
    finally:
        running.close()
