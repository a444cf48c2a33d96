"""How many hands a decision takes: pure rules over rows."""

from __future__ import annotations

import pytest

from tests.console import samples
from watchkeeper.console.blocks import lay_out_blocks, text_of
from watchkeeper.console.dialogs import deciding, handling
from watchkeeper.console.dialogs.killing import kill_question, locks_of
from watchkeeper.console.dialogs.topping import top_up_question
from watchkeeper.console.views.locks import target_of
from watchkeeper.wire.locks import Target


def text(blocks: object) -> str:
    return text_of(lay_out_blocks(blocks, 76))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("risk", "asked", "typed"),
    [
        ("low", False, None),
        ("medium", True, None),
        ("high", True, "ch_81"),
        ("critical", True, "ch_81"),
    ],
)
def test_confirmation_grows_with_risk(risk: str, asked: bool, typed: str | None) -> None:
    """Low goes by one key, medium by a dialog, high and critical by typing the object."""
    detail = samples.request_detail(risk=risk)
    assert deciding.needs_question(detail) == asked
    assert deciding.approve_question(detail).type_name == typed
    assert deciding.approve_question(detail).danger == (typed is not None)


def test_a_risk_this_console_does_not_know_counts_as_the_highest() -> None:
    """A newer plane cannot make an older console careless."""
    assert deciding.needs_question(
        samples.request_detail().model_copy(update={"risk": "catastrophic"})
    )
    assert deciding.needs_typing("catastrophic")


def test_rejecting_needs_a_reason() -> None:
    """The agent and the ledger are told why."""
    assert deciding.reject_question(samples.request_detail()).reason == "required"


def test_a_dialog_shows_what_will_run() -> None:
    """Agent, behalf, deed, object, amount, change, reach, way back and rule."""
    body = text(deciding.approve_question(samples.request_detail()).body)
    for words in (
        "refund $250.00 on charge ch_81",
        "refund-assistant, version 3, on behalf of person/dora",
        "▲ high risk",
        "refunded_usd",
        "one charge of one customer",
        "charge the card again",
        "Refunds over $200 need finance-ops.",
    ):
        assert words in body


def test_only_low_risk_is_approved_together() -> None:
    """One heavy request among the marked stops the bulk approval, not a bulk rejection."""
    low = [samples.request_row(request=f"req_{n}", risk="low") for n in range(3)]
    mixed = [*low, samples.request_row(risk="critical")]
    assert deciding.why_not_together(low, "approve") is None
    assert "1 of the 4 marked" in (deciding.why_not_together(mixed, "approve") or "")
    assert deciding.why_not_together(mixed, "reject") is None
    closed = [*low, samples.request_row(state="denied")]
    assert deciding.why_not_together(closed, "reject")
    others = [*low, samples.request_row(risk="low", mine=False)]
    assert deciding.why_not_together(others, "approve")


def test_a_bulk_dialog_counts_what_the_filter_hides() -> None:
    """Marks outside the view are counted in words, and make the dialog a dangerous one."""
    rows = [samples.request_row(request=f"req_{n}", risk="low") for n in range(12)]
    question = deciding.together_question(rows, "approve", hidden=5)
    body = text(question.body)
    assert "12 requests" in body
    assert "12 low" in body
    assert "5 of them are hidden by the filter" in body
    assert "… and 4 more" in body
    assert question.danger
    assert question.type_name == "12"
    assert deciding.together_question(rows, "reject", hidden=0).reason == "required"


def test_what_changed_since_it_was_read_is_shown() -> None:
    """Another digest: the difference, and that nothing was sent."""
    before = samples.request_detail()
    now = samples.request_detail(canonical='{"amount_usd":900}', digest="sha256:ff")
    body = text(deciding.changed_blocks(before, now))
    assert "Nothing was sent" in body
    assert '{"amount_usd":900}' in body


def test_the_last_level_cannot_be_escalated() -> None:
    """There is nobody further to ask."""
    assert handling.why_not_escalate(samples.request_row()) is None
    assert handling.why_not_escalate(samples.request_row(level=2))
    assert handling.why_not_escalate(samples.request_row(state="expired"))


def test_a_kill_takes_more_the_wider_it_is() -> None:
    """Enter for a run, the name for an agent; wider targets are offered, and pausing."""
    run = samples.radius(
        target=Target(kind="run", name="run_1"), confirmation="enter", confirm_text=""
    )
    assert kill_question(run, "stop", narrower=False).type_name is None
    agent = kill_question(samples.radius(), "stop", narrower=True, reason="loops")
    assert agent.type_name == "refund-assistant"
    assert agent.danger
    assert agent.reason_value == "loops"
    labels = [choice.label for choice in agent.choices]
    assert labels == ["widen to team finance-ops", "narrow again", "pause instead"]
    everything = samples.radius(
        target=Target(kind="everything", name="*"),
        confirmation="word",
        confirm_text="everything",
        wider=(),
    )
    widest = kill_question(everything, "pause", narrower=False)
    assert widest.type_name == "everything"
    assert [choice.label for choice in widest.choices] == ["drain instead"]


@pytest.mark.parametrize(
    ("row", "target"),
    [
        (samples.request_row(), ("run", "run_01jd0000000000000000000001")),
        (samples.agent_row(), ("agent", "refund-assistant")),
        (samples.budget_row(), ("team", "finance-ops")),
        (samples.budget_row(scope="all"), ("everything", "*")),
        (samples.event_row(), ("agent", "refund-assistant")),
        (samples.event_row(run="run_1"), ("run", "run_1")),
        (samples.need(agent="clerk"), ("agent", "clerk")),
        (samples.lock_row(), ("agent", "refund-assistant")),
        (None, ("everything", "*")),
    ],
)
def test_the_kill_key_aims_at_what_the_cursor_is_on(row: object, target: tuple[str, str]) -> None:
    """As narrow as the row allows; nothing under the cursor means everything."""
    assert (target_of(row).kind, target_of(row).name) == target


def test_only_locks_in_force_can_be_lifted() -> None:
    """Rows that are not locked, or no longer, have nothing to lift."""
    assert locks_of(samples.lock_row()) == ("lck_1",)
    assert locks_of(samples.lock_row(lifted_at=samples.NOW)) == ()
    assert locks_of(samples.agent_row(locks=("lck_2",))) == ("lck_2",)
    assert locks_of(samples.need(kind="lock", subject="lck_3")) == ("lck_3",)
    assert locks_of(None) == ()


def test_a_top_up_says_what_is_wrong_with_an_amount() -> None:
    """The field refuses before anything is sent."""
    question = top_up_question(samples.budget_row(), samples.moment())
    check = question.fields[0].check
    assert check("2.50") is None
    assert "0.75" in (check("lots") or "")
    assert question.reason == "required"
