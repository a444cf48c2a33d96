"""`policy`: offline for a build, and against a plane."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import on, watchkeeper
from tests.rig.plane import Plane
from tests.rig.world import POLICY, world
from watchkeeper.cli import exits

CASES = """
cases:
  - name: small
    given: {agent: clerk, tool: books.create_refund, arguments: {charge_id: ch_1, amount_usd: 20}}
    expect: {verdict: permit}
  - name: large
    given: {agent: clerk, tool: books.create_refund, arguments: {charge_id: ch_1, amount_usd: 250}}
    expect: {verdict: hold, role: finance-ops}
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    place = tmp_path / "governed"
    place.mkdir()
    for number, text in enumerate(world()):
        (place / f"{number}.yaml").write_text(text)
    (place / "policy.cedar").write_text(POLICY)
    (place / "refunds.cases.yaml").write_text(CASES)
    return place


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    running = Plane(tmp_path_factory.mktemp("policy")).start()
    running.apply(*world(), policy__cedar=POLICY)
    run = running.enrol("clerk").open_run()
    run.decide("books.create_refund", {"charge_id": "ch_1", "amount_usd": 150})
    yield running
    running.close()


def test_cases_run_without_a_plane(tmp_path: Path, directory: Path) -> None:
    ended = watchkeeper(tmp_path, "policy", "test", str(directory))
    assert ended.code == exits.OK, ended.err
    assert "ok    refunds.cases.yaml:6  large: hold of finance-ops" in ended.out
    assert "! no case reaches: refund-never-over-1000" in ended.out
    assert ended.out.endswith("2 cases: 2 ok.\n")

    cases = directory / "refunds.cases.yaml"
    cases.write_text(CASES.replace("{verdict: permit}", "{verdict: deny, rule: policy/x}"))
    ended = watchkeeper(tmp_path, "policy", "test", str(directory))
    assert ended.code == exits.REFUSED
    assert "FAIL  refunds.cases.yaml:3  small" in ended.out
    assert "expected  deny by policy/x" in ended.out
    assert "came      permit by policy/contracts-permit" in ended.out
    report = watchkeeper(tmp_path, "policy", "test", str(directory), "--json").json()
    assert (report["passed"], report["failed"]) == (1, 1)

    cases.write_text("cases: [{name: x}]")
    ended = watchkeeper(tmp_path, "policy", "test", str(directory))
    assert ended.code == exits.REFUSED
    assert "refunds.cases.yaml:1" in ended.err


def test_a_check_tells_everything_at_once(tmp_path: Path, directory: Path) -> None:
    ended = watchkeeper(tmp_path, "policy", "check", str(directory))
    assert ended.code == exits.OK
    assert "2 cases" in ended.out
    (directory / "role.cedar").write_text(
        '@id("asks") @obligation("require_approval") @approver_role("nobody-bears")\n'
        'forbid (principal, action, resource) unless { context.approvals.contains("x") };\n'
    )
    assert watchkeeper(tmp_path, "policy", "check", str(directory)).code == exits.OK
    strict = watchkeeper(tmp_path, "policy", "check", str(directory), "--strict")
    assert strict.code == exits.REFUSED
    assert "warning: policy 'asks'" in strict.out
    (directory / "broken.cedar").write_text("\npermit (principal, action, resource")
    (directory / "broken.yaml").write_text("agent: {name: x, owner: y, tols: []}")
    ended = watchkeeper(tmp_path, "policy", "check", str(directory), "--json")
    assert ended.code == exits.REFUSED
    found = {(one["severity"], one["where"]) for one in ended.json()["findings"]}
    assert found == {("error", "broken.cedar:2"), ("error", "broken.yaml:1")}
    assert watchkeeper(tmp_path, "policy", "check", "/nowhere").code == exits.REFUSED


def test_explaining(plane: Plane) -> None:
    said = on(plane, "policy", "explain", "clerk", "books.create_refund",
              "-a", "charge_id=ch_1", "-a", "amount_usd=250")  # fmt: skip
    assert said.code == exits.OK, said.err
    assert said.out.startswith("HOLD  clerk (version 1) in production: create refund of $250.00")
    assert "* ask     refund-over-200  policy.cedar:12" in said.out
    assert "with the approval of finance-ops or finance-lead: permit" in said.out
    decision = plane.operator.get("/v1/decisions")["rows"][0]["decision"]
    again = on(plane, "policy", "explain", decision, "--json").json()
    assert (again["recorded"], again["verdict"]) == ("permit", "permit")
    assert on(plane, "policy", "explain", "dec_none").code == exits.NOT_FOUND
    bad = on(plane, "policy", "explain", "clerk", "books.echo", "-a", "novalue")
    assert bad.code == exits.USAGE


def test_a_replay_exits_by_what_it_finds(plane: Plane, tmp_path: Path) -> None:
    same = on(plane, "policy", "replay")
    assert same.code == exits.OK, same.err
    assert "1 the same, 0 differ" in same.out
    (tmp_path / "policy.cedar").write_text(POLICY.replace("200000000", "100000000"))
    other = on(plane, "policy", "replay", str(tmp_path), "--since", "1h")
    assert other.code == exits.WOULD_CHANGE
    assert "~ policy policy" in other.out
    assert "permit → hold" in other.out
    assert on(plane, "policy", "replay", str(tmp_path), "--json").json()["differ"] == 1
    assert on(plane, "policy", "replay", "--since", "soon").code == exits.USAGE


def test_stages_versions_and_rollback(plane: Plane, tmp_path: Path) -> None:
    assert "policy  enforce  1" in on(plane, "policy", "list").out
    moved = on(plane, "policy", "stage", "policy", "warn", "--reason", "look first")
    assert "policy: enforce → warn (version 1)." in moved.out
    assert "policy, version 1, warn" in on(plane, "policy", "show", "policy").out
    on(plane, "policy", "stage", "policy", "enforce", "--reason", "looked")
    plane.apply(policy__cedar=POLICY.replace("200000000", "100000000"))
    listed = on(plane, "policy", "versions", "policy", "--diff").out
    assert listed.startswith("*    2")
    assert "-when { context.amount_micros > 200000000 }" in listed
    back = on(plane, "policy", "rollback", "policy", "--reason", "too strict")
    assert back.code == exits.OK, back.err
    assert on(plane, "policy", "rollback", "policy", "--to", "1", "--reason", "x").code == (
        exits.CONFLICT
    )
    assert on(plane, "policy", "show", "nobody").code == exits.NOT_FOUND
