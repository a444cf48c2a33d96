"""Cases beside policies run through the real path, and every check says file and line."""

from __future__ import annotations

import pytest

from tests.decide.still import POLICY, WORLD
from watchkeeper.core.errors import Invalid
from watchkeeper.decide.policies.checking import check_directory, rehearse_directory
from watchkeeper.demo.sample import fleet_files
from watchkeeper.registry.cases import read_cases

CASES = """\
cases:
  - name: small
    given:
      agent: refund-assistant
      tool: stripe.create_refund
      arguments: {charge_id: ch_1, amount_usd: 200}
    expect: {verdict: permit}
  - name: large
    given:
      agent: refund-assistant
      tool: stripe.create_refund
      arguments: {charge_id: ch_1, amount_usd: 201}
    expect: {verdict: hold, rule: policy/refund-over-200, role: finance-ops}
  - name: large and approved by the lead, who is asked next
    given:
      agent: refund-assistant
      tool: stripe.create_refund
      arguments: {charge_id: ch_1, amount_usd: 201}
      approvals: [finance-lead]
    expect: {verdict: permit, rule: policy/refund-over-200}
  - name: dear
    given: {agent: refund-assistant, model: small-fast, estimate: {cost_micros: 750001}}
    expect: {verdict: deny, rule: budget/run/rehearsal/spend}
"""


def directory(cases: str = CASES, world: str = WORLD) -> list[tuple[str, str]]:
    return [("world.yaml", world), ("rules.cedar", POLICY), ("rules.cases.yaml", cases)]


def test_cases_pass_and_say_which_policy_none_reaches() -> None:
    report = rehearse_directory(directory(), now=1)
    assert [(case.name, case.passed) for case in report.cases] == [
        ("small", True),
        ("large", True),
        ("large and approved by the lead, who is asked next", True),
        ("dear", True),
    ]
    assert report.cases[1].where == "rules.cases.yaml:8"
    assert report.undecided == ("no-long-calls",)


@pytest.mark.parametrize(
    ("before", "after", "came"),
    [
        ("amount_usd: 200}", "amount_usd: 201}", "hold of finance-ops by policy/refund-over-200"),
        ("role: finance-ops}", "role: finance-lead}", "hold of finance-ops"),
        ("rule: policy/refund-over-200, role", "rule: policy/other, role", "hold"),
        ("[finance-lead]", "[legal]", "hold"),
        ("750001", "750000", "permit"),
    ],
)
def test_a_case_fails_when_it_should(before: str, after: str, came: str) -> None:
    report = rehearse_directory(directory(CASES.replace(before, after, 1)), now=1)
    (failed,) = [case for case in report.cases if not case.passed]
    assert failed.came.startswith(came)
    assert report.failed == 1


@pytest.mark.parametrize(
    ("text", "where", "said"),
    [
        ("cases: [{name: x, given: {agent: a}, expect: {verdict: deny}}]", ":1", "tool, model"),
        ("cases:\n  - name: x\n    givn: {}\n", ":2", "did you mean 'given'"),
        (
            "cases:\n  - name: x\n    given: {agent: a, tool: t}\n    expect: {verdict: no}",
            ":4",
            "permit",
        ),
        (
            "cases:\n  - name: x\n    given: {agent: a, tool: t}\n"
            "    expect: {verdict: deny, role: r}",
            ":4",
            "held",
        ),
        (CASES.replace("name: large\n", "name: small\n"), ":8", "x.cases.yaml:2"),
        ("agent: {name: x}", ":1", "cases"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_case_is_found_with_its_line(text: str, where: str, said: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_cases([("x.cases.yaml", text)])
    assert caught.value.where == "x.cases.yaml" + where
    assert said in caught.value.message


def test_every_case_of_the_sample_fleet_passes_and_reaches_every_policy() -> None:
    report = rehearse_directory(fleet_files(), now=1)
    assert [case.name for case in report.cases if not case.passed] == []
    assert report.undecided == ()


def test_a_check_finds_everything_at_once() -> None:
    files = [
        ("bad.yaml", "agent:\n  name: x\n  owner: y\n  tols: []\n"),
        ("worse.cedar", "permit (principal, action, resource)\nwhen { context.colour == 1 };\n"),
        ("c.cases.yaml", "cases: [{name: x}]"),
    ]
    found = check_directory(files).findings
    assert [(one.severity, one.where) for one in found] == [
        ("error", "bad.yaml:4"),
        ("error", "worse.cedar:1"),
        ("error", "c.cases.yaml:1"),
    ]


def test_a_check_warns_of_what_applies_to_nothing() -> None:
    files = directory(world=WORLD.replace("name: cloud.delete", "name: cloud.remove", 1))
    report = check_directory(files)
    assert (report.cases, report.policies) == (4, 1)
    assert {one.severity for one in report.findings} == {"warning", "hint"}
    assert any("'cloud.delete'" in one.message for one in report.findings)


def test_a_check_hints_at_policies_that_never_decide() -> None:
    rule = (
        '@id("idle")\n@message("x")\n'
        'forbid (principal == Agent::"refund-assistant", action, resource == Tool::"spare.tool");\n'
    )
    spare = "tool: {name: spare.tool, does: Nothing anybody may use}"
    files = [*directory(), ("idle.cedar", rule), ("spare.yaml", spare)]
    hints = {(one.where, one.severity) for one in check_directory(files).findings}
    assert ("idle.cedar:3", "hint") in hints
    allowed = WORLD.replace("- name: ghost.tool", "- name: spare.tool", 1)
    files = [*directory(world=allowed), ("idle.cedar", rule), ("spare.yaml", spare)]
    assert "idle.cedar:3" not in {one.where for one in check_directory(files).findings}
