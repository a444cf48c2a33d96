"""Documents are read from YAML with errors that point at file, line and field."""

from __future__ import annotations

import pytest

from tests.rig.world import CONTRACT
from watchkeeper.core.errors import Invalid
from watchkeeper.registry.contract import AgentContract
from watchkeeper.registry.source import read_file


def test_reads_the_contract_as_it_stands() -> None:
    """The field names, units and defaults of a contract are what they say."""
    (document,) = read_file("refund-assistant.yaml", CONTRACT)
    contract = document.document
    assert isinstance(contract, AgentContract)
    assert contract.budgets.max_cost_usd_per_run == 750_000
    assert contract.tools.allowlist[2].requires_approval
    assert contract.model_routing is not None
    assert contract.model_routing.escalate_on[1].amount_usd_ge == 200_000_000
    assert contract.identity.token_ttl_seconds == 900


def test_reads_several_documents_of_one_file() -> None:
    """Each document keeps its own text, for its own diff."""
    two = read_file("two.yaml", CONTRACT + "---\nrole: {name: legal, members: [owner]}\n")
    assert [(one.kind, one.name) for one in two] == [
        ("agent", "refund-assistant"),
        ("role", "legal"),
    ]
    assert "agent" not in two[1].text


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        (
            CONTRACT.replace("max_steps: 12", "max_step: 12"),
            "x.yaml:10",
            "did you mean 'max_steps'",
        ),
        (
            CONTRACT.replace("  owner: finance-ops", "  ownr: finance-ops"),
            "x.yaml:1",
            "is needed; x.yaml:3: agent.ownr: no such field; did you mean 'owner'?",
        ),
        ("role:\n  name: a\n  members: ada\n", "x.yaml:3", "role.members: should be a list"),
        (CONTRACT.replace("max_steps: 12", "max_steps: many"), "x.yaml:10", "max_steps"),
        (CONTRACT.replace("0.75", "-1"), "x.yaml:13", "max_cost_usd_per_run"),
        (CONTRACT.replace("owner: finance-ops", "owner: Finance Ops"), "x.yaml:3", "owner"),
        ("agnt:\n  name: a\n", "x.yaml:1", "did you mean 'agent'"),
        ("agent: {name: a\n", "x.yaml:2:1", "not YAML"),
        ("agent:\n  name: a\n  name: b\n", "x.yaml:3", "stands twice"),
        ("agent: &a\n  - *a\n", "x.yaml:1", "too large"),
        ("- 1\n", "x.yaml:1", "one root key"),
        ("upstream:\n  name: a\n  transport: http\n", "x.yaml:1", "url"),
        ("tool: {name: a, does: b, pin: abc}\n", "x.yaml:1", "should be sha256: and 64"),
        ("rate: {name: a, scope: teams/b, limit: {calls: 1, per: day}}\n", "x.yaml:1",
         "rate.scope: should be all or team/NAME"),
        ("tool: {name: A b, does: c}\n", "x.yaml:1", "1 to 63 lower-case letters"),
        ("operator_role: {name: a, permissions: []}\n", "x.yaml:1", "needs 1 or more"),
        ("role: {name: a, members: [b]}\ntool: {name: b, does: c}\n", "x.yaml:1", "put --- on"),
        ("upstream: {name: a, transport: http, url: 'http://a.example', credential: {from: x:y}}\n",
         "x.yaml:1", "should be env:NAME, file:PATH, sealed:NAME or vault:"),
        ("agent:\n  ? [a]\n  : b\n", "x.yaml:2", "plain text"),
    ],
)  # fmt: skip
def test_names_the_file_line_and_field_of_a_mistake(text: str, where: str, says: str) -> None:
    """A mistake is found where it stands, and said in words."""
    with pytest.raises(Invalid) as caught:
        read_file("x.yaml", text)
    assert caught.value.where == where
    assert says in caught.value.message


def test_refuses_a_flood_of_aliases() -> None:
    """A few lines that unfold to billions of nodes are refused, not built."""
    lines = ["agent:", "  a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"  a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    with pytest.raises(Invalid, match="too large"):
        read_file("bomb.yaml", "\n".join(lines))


@pytest.mark.parametrize("number", ["1:" * 300_000 + "1", "1" * 900_000, "1_" * 300_000 + ".5"])
def test_refuses_a_number_without_end(number: str) -> None:
    with pytest.raises(Invalid, match="digits") as refused:
        read_file("a.yaml", f"agent:\n  name: {number}\n")
    assert refused.value.where == "a.yaml:2"
