"""The gate of identity, on facts that stand still."""

from __future__ import annotations

import json

from tests.decide.still import WORLD, StillFacts, a_run, catalogue, refund
from watchkeeper.decide.model import Action
from watchkeeper.decide.path import decide
from watchkeeper.identity.details import Used, read_details
from watchkeeper.identity.scope import Layer, TokenScope, read_scope

VERIFIED = WORLD.replace("  approvals:", "  identity: {verified: true}\n  approvals:")
READ = Action("tool", "stripe.lookup_charge", {})


def ruled(facts: StillFacts, action: Action) -> str:
    return decide(action, facts)[0].rule


def scoped(text: str | None, details: list[dict[str, object]] | None = None) -> str | None:
    sent = None if details is None else json.dumps(details)
    layer = Layer(read_scope(text), read_details(sent, "c"))
    return TokenScope().narrowed(layer).text()


def test_a_claim_is_refused_where_proof_is_wanted() -> None:
    world = catalogue(VERIFIED)
    for changes, refused in (
        ({"on_behalf_of": "person/ada"}, True),
        ({"on_behalf_of": "person/ada", "on_behalf_of_proof": "staff ada"}, False),
        ({}, False),
    ):
        found = ruled(StillFacts(world, a_run(**changes)), READ)
        assert (found == "contract/refund-assistant/identity") is refused, changes
    claimed = a_run(on_behalf_of="person/ada")
    assert ruled(StillFacts(catalogue(), claimed), READ) != "contract/refund-assistant/identity"


def test_a_scope_names_what_the_token_is_for() -> None:
    facts = StillFacts(catalogue(), a_run(scope=scoped("class:read")))
    assert ruled(facts, READ) != "identity/scope"
    assert ruled(facts, refund()) == "identity/scope"
    assert ruled(facts, Action("tool", "ghost.tool", {})) == "identity/scope", "unknown: writes"
    assert ruled(facts, Action("model", "small-fast", {})) == "identity/scope"


def test_limits_count_before_a_person_is_asked() -> None:
    details: list[dict[str, object]] = [{"type": "tool_call", "max_calls": 3, "max_amount_usd": 50}]
    run = a_run(scope=scoped(None, details))
    spent = {"c/0": Used(2, 30_000_000)}
    facts = StillFacts(catalogue(), run, spent=spent)
    ruling, progress = decide(refund(20), facts)
    assert ruling.verdict == "permit"
    assert [detail.counter for detail in progress.spends] == ["c/0"]
    assert ruled(facts, refund(20.01)) == "identity/authorization-details"
    assert ruled(facts, refund(500)) == "identity/authorization-details"
    over = StillFacts(catalogue(), run, spent={"c/0": Used(3, 0)})
    assert ruled(over, READ) == "identity/authorization-details"
    assert decide(Action("model", "small-fast", {}), over)[0].rule != (
        "identity/authorization-details"
    )
