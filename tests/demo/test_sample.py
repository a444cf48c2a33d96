"""The invented world holds together: documents, servers, agents and work name the same things."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.demo.fleet_documents import contracts, documents, tools
from watchkeeper.decide.policies.applying import read_files
from watchkeeper.demo.agents.profile import PROFILES
from watchkeeper.demo.plans.next_step import PLANS
from watchkeeper.demo.preparation import documents as fleet_documents
from watchkeeper.demo.sample import read_work
from watchkeeper.demo.settings import FleetSettings
from watchkeeper.demo.tool_servers.workplaces import WORKPLACES
from watchkeeper.policy.source import check_set
from watchkeeper.registry.documents import Policy
from watchkeeper.registry.rules import plan


def test_the_documents_apply_as_one_directory() -> None:
    changes = plan(documents(), {}, prune=False)
    assert {change.change for change in changes} == {"create"}
    texts = [(d.name, d.document.text) for d in documents() if isinstance(d.document, Policy)]
    asked = [p for file in check_set(texts) for p in file.policies if p.obligation]
    assert {"refund-over-200", "refund-over-1000", "production-change", "contract-mail-out"} <= {
        policy.policy for policy in asked
    }


def test_every_agent_has_contract_plan_and_work() -> None:
    names = {profile.name for profile in PROFILES}
    assert len(names) >= 8
    assert names == set(contracts()) == set(PLANS)
    items = [item["item"] for name in names for item in read_work(name)]
    assert len(items) == len(set(items)) >= 300


def test_every_tool_exists_at_its_upstream() -> None:
    for tool in tools().values():
        served = {t.name: t for t in WORKPLACES[str(tool.upstream)].tools}
        assert tool.upstream_tool in served, tool.name
        assert served[tool.upstream_tool].writes == (tool.access == "write"), tool.name
    allowed = {a.name for contract in contracts().values() for a in contract.tools.allowlist}
    assert allowed <= set(tools())


def test_the_sample_contract_keeps_its_shape() -> None:
    refunds = contracts()["refund-assistant"]
    assert refunds.owner == "finance-ops"
    assert refunds.budgets.max_steps == 12
    assert refunds.budgets.max_cost_usd_per_run == 750_000
    assert {a.name: a.requires_approval for a in refunds.tools.allowlist} == {
        "zendesk.read_ticket": False,
        "stripe.lookup_charge": False,
        "stripe.create_refund": True,
    }


def test_a_fleet_puts_its_own_addresses_and_credentials_in(tmp_path: Path) -> None:
    settings = FleetSettings(str(tmp_path), "/nowhere/plane.sock", "http://127.0.0.1:1")
    ports = {"models": 41000, "payments": 41001, "tickets": 41002, "cloud": 41003}
    texts = {file.path: file.text for file in fleet_documents(settings, ports)}
    assert "127.0.0.1:41000/v1" in texts["models.yaml"]
    assert "127.0.0.1:41001/mcp" in texts["upstreams.yaml"]
    assert f"file:{tmp_path}/credentials/payments" in texts["upstreams.yaml"]
    assert "python3" not in texts["upstreams.yaml"]
    assert not any("file:demo/" in text for text in texts.values())
    read_files(list(texts.items()))


@pytest.mark.parametrize("hurry", [3.0, 10.0, 100.0])
def test_hurried_delays_are_still_valid_documents(tmp_path: Path, hurry: float) -> None:
    settings = FleetSettings(str(tmp_path), "s", "http://127.0.0.1:1", hurry=hurry)
    sources = read_files([(file.path, file.text) for file in fleet_documents(settings, {})])
    plan(sources, {}, prune=False)
    policies = [s.document for s in sources if isinstance(s.document, Policy)]
    slas = [
        policy.obligation.sla_seconds
        for file in check_set([(p.name, p.text) for p in policies])
        for policy in file.policies
        if policy.obligation
    ]
    assert slas
    assert all(sla is not None and 5 <= sla <= 30 for sla in slas)
