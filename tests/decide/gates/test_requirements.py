"""Whose approval an action needs, where several sources ask at once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decide.still import POLICY, WORLD, StillFacts, catalogue, refund
from watchkeeper.approvals.model import Grant
from watchkeeper.core.errors import Forbidden, Invalid
from watchkeeper.decide.gates.approval import check_critical
from watchkeeper.decide.gates.requirement import require, risk_of
from watchkeeper.decide.model import Progress, Requirement, Ruling
from watchkeeper.decide.path import decide
from watchkeeper.policy.model import Obligation
from watchkeeper.registry.rules import find_gaps
from watchkeeper.registry.source import read_file
from watchkeeper.wire.digests import action_digest
from watchkeeper.wire.quorum import fill, is_met, merge, quorum_words, read_quorum, size

TOOL = "risk: medium\n  approval: {role: %s, quorum: %s}"
SECOND = """
@id("legal-too") @obligation("require_approval") @approver_role("legal") @quorum("%s")
forbid(principal, action, resource == Tool::"stripe.create_refund")
  when { context.amount_micros > 200000000 }
  unless { context.approvals.contains("legal") };
"""
LEGAL = "\n---\nrole: {name: legal, members: [owner]}\n"


def asked(world: str = WORLD, policy: str = POLICY, amount: float = 500) -> Requirement:
    """What a refund asks for in a world."""
    ruling, _ = decide(refund(amount), StillFacts(catalogue(world, policy)))
    assert ruling.requirement is not None, ruling
    return ruling.requirement


def test_every_source_is_met_with_the_larger_count_of_each_role() -> None:
    tool = TOOL % ("legal", "1 of legal and 2 of finance-ops")
    world = WORLD.replace("risk: medium", tool, 1) + LEGAL
    policy = POLICY + SECOND % "3 of legal"
    found = asked(world, policy)
    assert dict(found.groups) == {"legal": 3, "finance-ops": 2}
    assert found.words in ("3 of legal and 2 of finance-ops", "2 of finance-ops and 3 of legal")
    assert found.rule == "policy/legal-too"
    assert "policy/refund-over-200" in found.rule_text
    assert "tool/stripe.create_refund/approval" in found.rule_text


def test_a_role_that_is_asked_later_stands_for_fewer_of_the_first_only_if_it_is_as_many() -> None:
    lead = SECOND.replace("legal", "finance-lead") % "1 of finance-lead"
    assert asked(policy=POLICY + lead).groups == (("finance-lead", 1),)
    two = POLICY.replace('@sla("15m")', '@sla("15m") @quorum("2 of finance-ops")')
    assert dict(asked(policy=two + lead).groups) == {"finance-ops": 2, "finance-lead": 1}


def test_a_risk_class_adds_its_quorum_and_bounds_the_time() -> None:
    world = (
        WORLD
        + LEGAL
        + "---\nrisk: {name: high, quorum: 1 of legal, sla_seconds: 300, grant_seconds: 30, "
        "signed: true, break_glass: false}\n"
    )
    found = asked(world)
    assert found.groups == (("finance-ops", 1), ("legal", 1))
    assert (found.sla_seconds, found.grant_seconds, found.risk) == (300, 30, "high")
    assert (found.deciding.signed, found.deciding.break_glass) == (True, False)
    assert found.met_by({"finance-lead", "legal"})
    assert not found.met_by({"finance-ops"})
    assert not found.met_by({"legal"})


def test_roles_that_nobody_defined_are_the_owners_together() -> None:
    assert asked(policy=POLICY + SECOND % "2 of legal and 1 of ghosts").groups[-1] == ("owner", 3)


def test_a_class_of_which_all_is_approved_names_role_and_escalation() -> None:
    world = WORLD + "---\nrisk: {name: medium, approval: always, role: finance-lead}\n"
    found = asked(world, amount=5)
    assert (found.rule, found.role) == ("risk/medium/approval", "finance-lead")


@pytest.mark.parametrize(("risk", "outcome"), [("low", "allow"), ("medium", "deny")])
def test_time_decides_what_is_of_low_risk_only(risk: str, outcome: str) -> None:
    world = WORLD.replace("risk: medium", f"risk: {risk}\n  approval: {{role: finance-ops}}", 1)
    world = world.replace("{escalation: finance}", "{escalation: finance, timeout: allow}", 1)
    assert "timeout: allow" in world
    assert asked(world, amount=5).timeout_outcome == outcome
    documents = {(s.kind, s.name): s.document for s in read_file("w.yaml", world)}
    gaps = [gap for gap in find_gaps(documents) if "approvals.timeout" in gap]
    assert any("'stripe.create_refund'" in gap for gap in gaps) == (risk != "low")


def test_a_gate_whose_quorum_leaves_its_role_out_is_refused() -> None:
    with pytest.raises(Invalid, match="name legal too"):
        catalogue(WORLD.replace("risk: medium", TOOL % ("legal", "1 of finance-ops"), 1))


def test_an_approval_of_then_is_held_against_what_is_asked_now() -> None:
    facts = StillFacts(catalogue())
    _, progress = decide(refund(500), facts)
    facts.granted = frozenset({progress.digest})
    assert decide(refund(500), facts)[0].verdict == "permit"
    for spoil, why in (
        ({"groups": (("finance-ops", 1),)}, None),
        ({"groups": (("legal", 1),)}, "1 of finance-ops must agree by now"),
        ({"spoiled": "ada is gone"}, "ada is gone"),
        ({"groups": (("finance-ops", 1),), "by": ("deadline",)}, "time alone"),
    ):
        facts.grant = replace(Grant("req_1", progress.digest, 9**15, (), ("ada",)), **spoil)
        ruling, _ = decide(refund(500), facts)
        assert (ruling.verdict == "permit") == (why is None)
        if why:
            assert why in ruling.reason
            assert ruling.voids is not None
            assert ruling.voids[0] == "req_1"


PARTS = {
    "run": "run_1", "agent": "refund-assistant", "contract": "sha256:1", "target": "sha256:2",
    "on_behalf_of": "person/carol",
}  # fmt: skip


@given(st.sampled_from([*PARTS, "name", "charge_id", "amount_usd"]), st.data())
def test_a5_any_change_of_an_action_is_another_action(part: str, data: st.DataObject) -> None:
    """One character of anything that is approved, and no approval covers it."""
    arguments = {"charge_id": "ch_81", "amount_usd": "4000"}
    values = {**PARTS, **arguments, "name": "stripe.create_refund"}
    at = data.draw(st.integers(0, len(values[part]) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda c: c != values[part][at]))
    changed = {**values, part: values[part][:at] + other + values[part][at + 1 :]}

    def digest_of(said: dict[str, str]) -> str:
        given = {name: said[name] for name in arguments}
        rest = {name: said[name] for name in (*PARTS, "name")}
        return action_digest(kind="tool", arguments=given, **rest)

    assert digest_of(changed) != digest_of(values)


def test_a_critical_action_is_never_permitted_without_people() -> None:
    """Even where no gate asks: the permit itself is refused."""
    world = WORLD.replace("risk: medium", "risk: critical", 1)
    facts = StillFacts(catalogue(world))
    progress = Progress()
    assert require(refund(5), facts, progress) is not None
    assert risk_of(refund(5), facts.catalogue, progress) == "critical"
    policies = Progress(asks=(Obligation("p", "ops", "", risk="critical"),))
    assert risk_of(refund(5), catalogue(), policies) == "critical"
    bare = Ruling("permit", "policy/p", "")
    approved = replace(bare, grant=Grant("req_1", "sha256:1", 9, ("ops",), ("person/ada",)))
    check_critical("critical", approved, "sha256:1")
    check_critical("high", bare, "sha256:1")
    for ruling, digest in (
        (bare, "sha256:1"),
        (approved, "sha256:2"),
        (replace(bare, grant=Grant("req_1", "sha256:1", 9, ("ops",), ("deadline",))), "sha256:1"),
    ):
        with pytest.raises(Forbidden) as refused:
            check_critical("critical", ruling, digest)
        assert refused.value.rule == "risk/critical"


NAMES = st.sampled_from(["ops", "lead", "legal"])
GROUPS = st.dictionaries(NAMES, st.integers(1, 3), min_size=1).map(lambda d: tuple(d.items()))
VOTES = st.lists(st.frozensets(NAMES), max_size=6)


@given(GROUPS)
def test_a_quorum_is_read_as_it_is_written(groups: tuple[tuple[str, int], ...]) -> None:
    assert read_quorum(quorum_words(groups)) == groups


@pytest.mark.parametrize(
    "text",
    ["", "two", "0 of ops", "100 of ops", "1 of Ops", "1 of ops and", "1 of ops and 1 of ops",
     "1 of ops or 1 of lead", " and ".join(f"1 of r{n}" for n in range(9)), "1 of ops " * 9999],
)  # fmt: skip
def test_what_is_no_quorum_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        read_quorum(text)


@given(VOTES, GROUPS)
def test_places_are_filled_as_far_as_can_be(
    votes: list[frozenset[str]], groups: tuple[tuple[str, int], ...]
) -> None:
    """Hall's condition: a quorum is met exactly where every part of it finds enough people."""
    have = fill(votes, groups)
    assert all(had <= count for had, (_, count) in zip(have, groups, strict=True))
    enough = all(
        sum(bool(vote & {role for role, _ in part}) for vote in votes) >= size(part)
        for part in parts(groups)
    )
    assert is_met(votes, groups) == enough
    assert is_met(votes, groups) == (have == tuple(count for _, count in groups))


def parts(groups: tuple[tuple[str, int], ...]) -> list[tuple[tuple[str, int], ...]]:
    """Every choice of groups."""
    found: list[tuple[tuple[str, int], ...]] = [()]
    for group in groups:
        found += [(*part, group) for part in found]
    return found


@given(st.lists(GROUPS, min_size=1, max_size=3), VOTES)
def test_what_meets_a_merged_quorum_meets_each(
    asked: list[tuple[tuple[str, int], ...]], votes: list[frozenset[str]]
) -> None:
    if is_met(votes, merge(*asked)):
        assert all(is_met(votes, one) for one in asked)


def test_a_small_call_asks_nobody() -> None:
    facts = StillFacts(catalogue())
    assert require(refund(5), facts, Progress()) is None
