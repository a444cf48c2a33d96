"""The gates in order: each refuses by name, the first one decides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decide.still import WORLD, StillFacts, a_run, catalogue, refund
from watchkeeper.approvals.model import Standing
from watchkeeper.decide.model import Action
from watchkeeper.decide.path import decide
from watchkeeper.kill.model import LockInForce, LockTarget
from watchkeeper.wire.decisions import Usage
from watchkeeper.wire.locks import Mode, TargetKind
from watchkeeper.wire.requests import RequestState

CATALOGUE = catalogue()


def a_lock(kind: TargetKind, name: str, mode: Mode = "stop", epoch: int = 1) -> LockInForce:
    """A lock in force."""
    return LockInForce(f"lock_{epoch}", LockTarget(kind, name), mode, "odd", "person/ada", epoch, 1)


def facts(**changes: object) -> StillFacts:
    """Facts over the world of these tests."""
    return StillFacts(CATALOGUE, **changes)  # type: ignore[arg-type]


def test_permits_what_the_contract_allows() -> None:
    """A small refund passes every gate and is held in the budgets."""
    still = facts()
    ruling, progress = decide(refund(20), still)
    assert ruling.verdict == "permit"
    assert ruling.rule == "policy/contract-allows"
    assert (progress.object_kind, progress.object_id) == ("charge", "ch_81")
    assert progress.amount_micros == 20_000_000
    assert still.asked == [{"tool_calls": 1}]


@pytest.mark.parametrize(
    ("action", "rule"),
    [
        (Action("tool", "shell.run", {}), "contract/refund-assistant/tools"),
        (Action("tool", "ghost.tool", {}), "contract/refund-assistant/tools"),
        (Action("model", "huge", {}), "contract/refund-assistant/models"),
        (Action("tool", "stripe.create_refund", {}), "tool/stripe.create_refund/schema"),
        (refund("20"), "tool/stripe.create_refund/schema"),
        (refund(20, extra=1), "tool/stripe.create_refund/schema"),
        (refund(20, note="as a GIFT card"), "tool/stripe.create_refund/never"),
        (refund(20, note="x" * 20_001), "tool/stripe.create_refund/never"),
        (refund(10**12), "tool/stripe.create_refund/amount"),
        (
            Action("model", "small-fast", {}, Usage(input_tokens=9000, output_tokens=2000)),
            "policy/no-long-calls",
        ),
    ],
)
def test_a_refusal_names_its_rule(action: Action, rule: str) -> None:
    """What is denied says which rule denied it, and holds nothing in any budget."""
    still = facts()
    ruling, _ = decide(action, still)
    assert (ruling.verdict, ruling.rule) == ("deny", rule)
    assert still.asked == []


@pytest.mark.parametrize("arguments", [{}, {"amount_usd": -4000}, {"amount_usd": None}])
def test_an_amount_that_is_not_stated_or_below_zero_passes_no_threshold(
    arguments: dict[str, object],
) -> None:
    """Even where the tool's schema would let it: its server may have a default of its own."""
    head, _, rest = WORLD.partition("  input_schema:")
    loose = catalogue(head + "  never:" + rest.partition("  never:")[2])
    action = Action("tool", "stripe.create_refund", {"charge_id": "ch_81", **arguments})
    ruling, _ = decide(action, StillFacts(loose))
    assert (ruling.verdict, ruling.rule) == ("deny", "tool/stripe.create_refund/amount")


def test_a_large_refund_is_held_for_the_role_the_policy_names() -> None:
    """The requirement carries role, levels, time and risk."""
    ruling, _ = decide(refund(4000), facts())
    assert (ruling.verdict, ruling.rule) == ("hold", "policy/refund-over-200")
    assert ruling.requirement is not None
    levels = [(level.role, level.after_seconds) for level in ruling.requirement.escalation.levels]
    assert levels == [("finance-ops", 0), ("finance-lead", 60)]
    assert ruling.requirement.groups == (("finance-ops", 1),)
    assert ruling.requirement.sla_seconds == 900
    assert ruling.requirement.risk == "high"


def test_a_critical_tool_needs_approval_whatever_the_contract_says() -> None:
    """No contract and no policy asks here; the risk class does."""
    ruling, _ = decide(Action("tool", "cloud.delete", {}), facts())
    assert (ruling.verdict, ruling.rule) == ("hold", "tool/cloud.delete/risk")


def test_a_grant_permits_exactly_the_call_it_was_given_for() -> None:
    """Another amount, another run, or a changed tool definition is another action."""
    _, progress = decide(refund(4000), facts())
    granted = frozenset({progress.digest})
    ruling, _ = decide(refund(4000), facts(granted=granted))
    assert (ruling.verdict, ruling.rule) == ("permit", "approval/req_1")
    assert decide(refund(4001), facts(granted=granted))[0].verdict == "hold"
    other_run = facts(granted=granted, run=a_run(run="run_2"))
    assert decide(refund(4000), other_run)[0].verdict == "hold"
    for_another = facts(granted=granted, run=a_run(on_behalf_of="person/eve"))
    assert decide(refund(4000), for_another)[0].verdict == "hold"
    changed = StillFacts(
        catalogue(WORLD.replace("Refunds a charge", "Refunds any charge")), granted=granted
    )
    assert decide(refund(4000), changed)[0].verdict == "hold"


def test_a_grant_does_not_pass_a_lock_or_a_budget() -> None:
    """An approval is one gate of several."""
    _, progress = decide(refund(4000), facts())
    granted = frozenset({progress.digest})
    locked = facts(granted=granted, locks=(a_lock("agent", "refund-assistant"),))
    assert decide(refund(4000), locked)[0].rule == "lock/lock_1"
    full = facts(granted=granted, full="run/run_1/tool_calls")
    ruling, _ = decide(refund(4000), full)
    assert (ruling.verdict, ruling.rule) == ("deny", "budget/run/run_1/tool_calls")


@pytest.mark.parametrize(
    ("state", "says"),
    [("denied", "rejected by person/ada: too much"), ("expired", "in time"), ("revoked", "kill")],
)
def test_a_no_holds_for_the_same_call(state: RequestState, says: str) -> None:
    """Sending a refused call again opens no new request; another call does."""
    _, progress = decide(refund(4000), facts())
    by = "lock/lock_1" if state == "revoked" else "person/ada"
    said = Standing("req_1", state, by, 1, "too much", 2)
    still = facts(stands={progress.digest: said})
    ruling, _ = decide(refund(4000), still)
    assert (ruling.verdict, ruling.rule) == ("deny", "approval/req_1")
    assert says in ruling.reason
    assert decide(refund(3999), still)[0].verdict == "hold"


def test_an_agent_cannot_bury_its_approvers() -> None:
    """At its limit of waiting requests a new one is refused; one that waits already is not."""
    ruling, progress = decide(refund(4000), facts(pending=49))
    assert ruling.verdict == "hold"
    ruling, _ = decide(refund(4000), facts(pending=50))
    assert (ruling.verdict, ruling.rule) == ("deny", "contract/refund-assistant/max_pending")
    waits = Standing("req_1", "pending", None, None, None, 2)
    again = facts(pending=50, stands={progress.digest: waits})
    assert decide(refund(4000), again)[0].verdict == "hold"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("everything", "*"),
        ("team", "finance-ops"),
        ("agent", "refund-assistant"),
        ("run", "run_1"),
        ("tool", "stripe.create_refund"),
    ],
)
def test_every_kind_of_lock_refuses(kind: TargetKind, name: str) -> None:
    """A kill is named before a pause; a lock on something else refuses nothing."""
    locks = (a_lock(kind, name, "pause", 1), a_lock(kind, name, "stop", 2))
    ruling, _ = decide(refund(20), facts(locks=locks))
    assert (ruling.verdict, ruling.rule) == ("deny", "lock/lock_2")
    elsewhere = (a_lock("agent", "refund"), a_lock("run", "run_"), a_lock("tool", "stripe"))
    assert decide(refund(20), facts(locks=elsewhere))[0].verdict == "permit"


def test_a_stopped_run_stays_stopped_after_the_lock_is_lifted() -> None:
    """Lifting a kill lets new runs open; it does not wake the killed one."""
    ruling, _ = decide(refund(20), facts(run=a_run(state="stopped")))
    assert ruling.rule == "lock/run-stopped"


def test_an_agent_without_a_contract_may_nothing() -> None:
    """An unknown agent is refused by the first gate."""
    assert decide(refund(20), facts(run=a_run(agent="stray")))[0].rule == "identity/contract"


def test_on_behalf_of_must_name_somebody() -> None:
    """A contract that says on_behalf_of is not satisfied by nobody."""
    world = catalogue(
        WORLD.replace("  approvals:", "  identity: {mode: on_behalf_of}\n  approvals:")
    )
    assert decide(refund(20), StillFacts(world))[0].rule == "contract/refund-assistant/identity"
    named = StillFacts(world, run=a_run(on_behalf_of="person/eve"))
    assert decide(refund(20), named)[0].verdict == "permit"


scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner)
)


@given(st.text(max_size=30), st.dictionaries(st.text(max_size=8), values, max_size=4))
def test_nothing_outside_the_allowlist_is_ever_permitted(
    name: str, arguments: dict[str, object]
) -> None:
    """Deny by default, for any name and any arguments."""
    ruling, _ = decide(Action("tool", name, arguments), facts())
    if ruling.verdict == "permit":
        assert name in {"stripe.lookup_charge", "stripe.create_refund"}


@given(st.floats(0.01, 5000), st.booleans(), st.booleans())
def test_no_large_refund_runs_without_its_grant(amount: float, locked: bool, full: bool) -> None:
    """Whatever else is true: over the line, only a grant of that digest permits."""
    still = facts(
        locks=(a_lock("team", "finance-ops"),) if locked else (),
        full="run/run_1/tool_calls" if full else None,
    )
    ruling, _ = decide(refund(amount), still)
    if ruling.verdict == "permit":
        assert amount <= 200.000001
        assert not locked
        assert not full
