"""`apply`: the plan is shown, bound, and put in force whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import Ended, on
from tests.rig.plane import Plane
from tests.rig.world import CONTRACT, POLICY, agent_document
from watchkeeper.cli import exits


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    place = tmp_path / "contracts"
    (place / "policies").mkdir(parents=True)
    (place / "clerk.yaml").write_text(agent_document())
    (place / "policies" / "base.cedar").write_text(POLICY)
    return place


def apply(plane: Plane, directory: Path, *flags: str) -> Ended:
    return on(plane, "apply", "-f", str(directory), *flags)


def test_plan_apply_and_drift(plane: Plane, directory: Path) -> None:
    assert apply(plane, directory, "--check").code == exits.WOULD_CHANGE
    planned = apply(plane, directory, "--dry-run")
    assert planned.code == exits.OK
    assert "+ create agent clerk  (clerk.yaml)" in planned.out
    assert "+ create policy base  (policies/base.cedar)" in planned.out
    assert plane.operator.get("/v1/agents")["rows"] == []

    unasked = apply(plane, directory)
    assert unasked.code == exits.REFUSED
    assert "--yes" in unasked.err
    assert plane.operator.get("/v1/agents")["rows"] == []

    applied = apply(plane, directory, "--yes")
    assert applied.code == exits.OK, applied.err
    assert applied.out.endswith("Applied: 2 created.\n")
    assert apply(plane, directory, "--check").code == exits.OK, "applying twice changes nothing"
    events = len(plane.events())
    assert apply(plane, directory, "--yes").code == exits.OK
    assert len(plane.events()) == events

    text = (directory / "clerk.yaml").read_text()
    (directory / "clerk.yaml").write_text(text.replace("finance-ops\n", "support\n", 1))
    drift = apply(plane, directory, "--check")
    assert drift.code == exits.WOULD_CHANGE
    assert "    -  owner: finance-ops" in drift.out
    assert "    +  owner: support" in drift.out


def test_prune_deletes_only_when_asked(plane: Plane, directory: Path) -> None:
    assert apply(plane, directory, "--yes").code == exits.OK
    (directory / "clerk.yaml").unlink()
    assert apply(plane, directory, "--check").code == exits.OK
    pruned = apply(plane, directory, "--prune", "--yes")
    assert "- delete agent clerk" in pruned.out
    assert plane.operator.get("/v1/agents")["rows"] == []


def test_the_sample_contract_is_valid_as_it_stands(plane: Plane, tmp_path: Path) -> None:
    (tmp_path / "sample.yaml").write_text(CONTRACT)
    assert apply(plane, tmp_path / "sample.yaml", "--yes").code == exits.OK
    assert plane.operator.get("/v1/agents/refund-assistant")["owner"] == "finance-ops"


@pytest.mark.parametrize(
    ("name", "text", "where", "says"),
    [
        ("bad.yaml", "agent:\n  name: x\n  owner: y\n  tols: []\n", "bad.yaml:4", "tols"),
        ("bad.yaml", "agent:\n  name: X!\n  owner: y\n", "bad.yaml:2", "name"),
        ("bad.yaml", "agent: [\n", "bad.yaml:", "YAML"),
        ("bad.yaml", "agnet: {name: x}\n", "bad.yaml:1", "agent"),
        ("bad.cedar", "permit (principal, action);\n", "bad.cedar", ""),
        ("bad.cedar", '@id("a") permit (principal, action, resource) when { context.nope };',
         "bad.cedar", "nope"),
    ],
)  # fmt: skip
def test_mistakes_point_at_file_line_and_field_and_change_nothing(
    plane: Plane, directory: Path, name: str, text: str, where: str, says: str
) -> None:
    (directory / name).write_text(text)
    ended = apply(plane, directory, "--yes")
    assert ended.code == exits.REFUSED
    assert where in ended.err
    assert says in ended.err
    assert plane.operator.get("/v1/agents")["rows"] == []


def test_what_cannot_be_read_is_said(plane: Plane, tmp_path: Path) -> None:
    assert "no *.yaml" in apply(plane, tmp_path).err
    assert "no such directory" in apply(plane, tmp_path / "none").err
    (tmp_path / "latin.yaml").write_bytes(b"agent: {name: \xe9}\n")
    ended = apply(plane, tmp_path, "--dry-run")
    assert ended.code == exits.REFUSED
    assert "latin.yaml" in ended.err


def test_names_that_lead_nowhere_are_shown_with_the_plan(plane: Plane, directory: Path) -> None:
    (directory / "guard.cedar").write_text(
        '@id("guard") @obligation("require_approval") @approver_role("nobodys")\n'
        'forbid (principal, action, resource == Tool::"mails.sned")\n'
        'unless { context.approvals.contains("nobodys") };\n'
    )
    (directory / "mails.yaml").write_text(
        "tool:\n  name: mails.send\n  does: Sends.\n  amount_usd: amount\n"
        "  input_schema: {type: object, additionalProperties: false, properties: {to: {}}}\n"
    )
    planned = apply(plane, directory, "--dry-run")
    assert planned.code == exits.OK, planned.err
    assert "! policy file 'guard': names Tool::\"mails.sned\"" in planned.out
    assert "! policy 'guard': @approver_role names role 'nobodys'" in planned.out
    assert "! tool 'mails.send': amount_usd names the argument 'amount'" in planned.out
