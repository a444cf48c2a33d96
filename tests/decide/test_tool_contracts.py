"""What a tool's own contract asks: a trusted definition, an approver, words, checked readers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.decide.still import WORLD, StillFacts, catalogue, refund
from tests.tools.pins.ground import Record, definition
from watchkeeper.core.errors import Unavailable
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.held.previews import find_reader, measure_reach
from watchkeeper.decide.model import describe
from watchkeeper.decide.path import decide
from watchkeeper.kill.model import LockInForce, LockTarget
from watchkeeper.registry.documents import Preview, PreviewChange
from watchkeeper.registry.rules import find_gaps
from watchkeeper.registry.source import read_file
from watchkeeper.tools.pins.model import Pins

AT_BOOKS = "upstream: books\n  upstream_tool: create_refund\n  risk: medium"
GATED = "approval: {role: %s, escalation: finance, sla_seconds: 600}\n  risk: medium"
UPSTREAM = "---\nupstream: {name: books, transport: http, url: 'http://127.0.0.1:9/mcp'}\n"


def world_with(extra: str, more: str = "") -> str:
    """The world, with more said of stripe.create_refund."""
    return WORLD.replace("risk: medium", extra, 1) + more


def books(pins: Pins, pin: str = "") -> Catalogue:
    """The world with its refund tool behind an upstream, and these pins."""
    extra = AT_BOOKS + (f"\n  pin: '{pin}'" if pin else "")
    return replace(catalogue(world_with(extra, UPSTREAM)), pins=pins)


def ask(known: Catalogue, amount: int = 20, **facts: Any) -> Any:
    return decide(refund(amount), StillFacts(known, **facts))


def test_a_call_is_permitted_under_the_pinned_definition_and_its_digest_covers_it() -> None:
    record = Record("create_refund")
    unseen, _ = ask(books(record.view)), record.hear(definition())
    ruling, progress = ask(books(record.view))
    assert ruling.verdict == "permit"
    assert progress.definition == definition().digest
    assert progress.digest != unseen[1].digest
    other = Record("create_refund")
    other.hear(definition(description="Other."))
    assert ask(books(other.view))[1].digest != progress.digest


def test_an_approval_does_not_cover_another_definition() -> None:
    record = Record("create_refund")
    record.hear(definition())
    held, progress = ask(books(record.view), 500)
    assert held.verdict == "hold"
    granted = frozenset({progress.digest})
    assert ask(books(record.view), 500, granted=granted)[0].verdict == "permit"
    other = Record("create_refund")
    other.hear(definition(description="Other."))
    assert ask(books(other.view), 500, granted=granted)[0].verdict == "hold"


def test_what_changed_or_is_gone_is_refused_by_name() -> None:
    record = Record("create_refund")
    record.hear(definition())
    record.hear(definition(description="Other."))
    assert ask(books(record.view))[0].rule == "tool/stripe.create_refund/quarantine"
    pinned = definition(description="Other.").digest
    assert ask(books(record.view, pinned))[0].verdict == "permit"
    record.hear()
    assert ask(books(record.view))[0].rule == "tool/stripe.create_refund/gone"


@pytest.mark.parametrize(
    ("gate", "amount", "role", "rule", "sla"),
    [
        # only the tool asks
        ("finance-ops", 20, "finance-ops", "tool/stripe.create_refund/approval", 600),
        # both ask the same role: the policy's words, the shorter time
        ("finance-ops", 500, "finance-ops", "policy/refund-over-200", 600),
        # the policy escalates to the tool's role: the tool's is the higher
        ("finance-lead", 500, "finance-lead", "tool/stripe.create_refund/approval", 600),
        # roles that nothing compares: the tool's binds every call
        ("owner", 500, "owner", "tool/stripe.create_refund/approval", 600),
    ],
)
def test_the_strictest_of_policy_and_tool_is_asked(
    gate: str, amount: int, role: str, rule: str, sla: int
) -> None:
    ruling, _ = ask(catalogue(world_with(GATED % gate)), amount)
    asked = ruling.requirement
    assert (ruling.verdict, asked.role, asked.rule, asked.sla_seconds) == ("hold", role, rule, sla)
    assert asked.risk == ("high" if amount > 200 else "medium")


def test_the_policys_role_is_asked_where_the_tools_escalates_to_it() -> None:
    policy = """
    @id("lead") @obligation("require_approval") @approver_role("finance-lead")
    forbid(principal, action, resource == Tool::"stripe.create_refund")
      unless { context.approvals.contains("finance-lead") };
    """
    ruling, _ = ask(catalogue(world_with(GATED % "finance-ops"), policy))
    assert ruling.requirement.role == "finance-lead"
    assert "tool/stripe.create_refund/approval" in ruling.requirement.rule_text


def test_approvers_read_what_the_contract_says() -> None:
    action = refund(20, note="late\x1b[2J")
    _, progress = decide(action, StillFacts(catalogue()))
    assert describe(action, progress) == "create refund of $20.00 on charge ch_81"
    shown = describe(action, progress, "Refund ${amount_usd} on {charge_id}: {note} {none}")
    assert shown == "Refund $20 on ch_81: late␛[2J {none}"


READER = Preview(tool="stripe.lookup_charge", arguments={"charge_id": "charge_id"})
CHECKED = """
  input_schema: {type: object, required: [charge_id], additionalProperties: false,
                 properties: {charge_id: {type: string, pattern: "^ch_[0-9]+$"}}}
  never: [{argument: charge_id, pattern: "^ch_9", why: closed}]
"""


def test_a_preview_reads_only_with_what_may_be_read_with() -> None:
    reads = "access: read\n  risk: low"
    known = catalogue(WORLD.replace(reads, "access: read\n  risk: low" + CHECKED, 1))
    good = {"charge_id": "ch_81"}
    assert find_reader(known, (), READER, good).name == "stripe.lookup_charge"
    for bad, rule in (
        ({"charge_id": "x"}, "schema"),
        ({}, "schema"),
        ({"charge_id": "ch_9"}, "never"),
    ):
        with pytest.raises(Unavailable) as refused:
            find_reader(known, (), READER, bad)
        assert refused.value.rule == f"tool/stripe.lookup_charge/{rule}"
    lock = LockInForce(
        "lock_1", LockTarget("tool", "stripe.lookup_charge"), "pause", "odd", "person/ada", 1, 1
    )
    with pytest.raises(Unavailable, match="pause"):
        find_reader(known, (lock,), READER, good)
    for writer in ("stripe.create_refund", "ghost"):
        with pytest.raises(Unavailable, match="only reads"):
            find_reader(known, (), READER.model_copy(update={"tool": writer}), good)


def test_a_preview_reads_nothing_with_a_quarantined_tool() -> None:
    record = Record("stripe.lookup_charge")
    record.hear(definition("stripe.lookup_charge"))
    record.hear(definition("stripe.lookup_charge", description="Other."))
    text = WORLD.replace("access: read\n", "access: read\n  upstream: books\n", 1) + UPSTREAM
    with pytest.raises(Unavailable) as refused:
        find_reader(replace(catalogue(text), pins=record.view), (), READER, {})
    assert refused.value.rule == "tool/stripe.lookup_charge/quarantine"


def test_measured_reach_is_told_in_words() -> None:
    found = {"customer": "ada\x1b[2J", "open": 3, "deep": {"x": 1}}
    assert measure_reach(READER, found) == (
        "Measured with stripe.lookup_charge: customer ada␛[2J, open 3."
    )
    named = READER.model_copy(update={"changes": (PreviewChange(field="open", after="open"),)})
    assert measure_reach(named, found) == "Measured with stripe.lookup_charge: open 3."


def test_what_the_new_fields_name_is_looked_for() -> None:
    text = world_with(
        "display: 'Refund {amount_usd} on {card}'\n"
        "  approval: {role: treasury, escalation: night}\n"
        "  blast_preview: {tool: ghost.reader, arguments: {id: customer}}\n  risk: medium"
    )
    found = {(s.kind, s.name): s.document for s in read_file("w.yaml", text)}
    gaps = "\n".join(find_gaps(found))
    for gap in (
        "display names the argument 'card'",
        "blast_preview.arguments names the argument 'customer'",
        "blast_preview.tool names tool 'ghost.reader'",
        "approval.role names role 'treasury'",
        "approval.escalation names escalation 'night'",
    ):
        assert gap in gaps


def test_an_agent_that_hands_work_to_nobody_known_is_told_of() -> None:
    text = (
        "agent: {name: a, owner: o, identity: {delegates_to: [ghost],"
        " workloads: [{issuer: nowhere, subject: s}]}}"
    )
    found = {(s.kind, s.name): s.document for s in read_file("w.yaml", text)}
    gaps = "\n".join(find_gaps(found))
    assert "identity.delegates_to names agent 'ghost'" in gaps
    assert "identity.workloads names issuer 'nowhere'" in gaps
